package connector

import "time"

// rhythm times the questions that are asked about a batch on its way, by how long
// the last one took: a sink needs 100 ms an object or none at all, and what it
// answers before it has come to an end is work for both sides that tells nothing.
type rhythm struct {
	took    time.Duration // by the last batch; 0: nothing is known yet
	objects int           // of it
}

// The shortest and the longest wait between two questions.
const (
	shortestAsk  = 2 * time.Millisecond
	longestQuiet = 2 * time.Second
)

// expected is how long so many objects should take at least. A small batch tells
// little about a large one: much of its time is nobody's work.
func (r *rhythm) expected(objects int) time.Duration {
	times := min(float64(objects)/float64(max(r.objects, 1)), 2)
	return time.Duration(times * float64(r.took))
}

// wait is how long to wait before the next question about so many objects that were
// sent a while ago. The first one comes when the batch should be done; those that
// follow are an eighth of the time apart that has passed, a quarter while nothing is
// known, two seconds at most.
func (r *rhythm) wait(objects int, since time.Duration, asked int) time.Duration {
	expected := r.expected(objects)
	switch {
	case since < expected:
		return min(expected-since, longestQuiet)
	case asked == 0:
		return 0
	case expected == 0:
		return min(max(since/4, shortestAsk), longestQuiet)
	}
	return min(max(since/8, shortestAsk), longestQuiet)
}

// done notes that a question found the batch done, so long after it was sent, and
// that the question before it did not, last before that. Where there was none before,
// nobody knows how much earlier it was done, and the next batch is asked for in half
// the time: a few questions too many cost less than a sink that waits for nothing.
func (r *rhythm) done(objects int, took, last time.Duration, asked int) {
	r.objects, r.took = max(objects, 1), max(took/2, 0)
	if asked > 0 {
		r.took = max(took-last/2, 0)
	}
}
