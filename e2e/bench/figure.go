package bench

import (
	"strconv"
	"testing"
)

// Figure is a row of the table in docs/performance.md.
type Figure struct {
	// Name is what the table calls it.
	Name string
	// Python is what the Python connector was measured at, Goal what is to be
	// reached; "–" for none.
	Python, Goal string
	// Unit of the measured value, as benchmarks write it: without a space.
	Unit string
	// Digits behind the point.
	Digits int

	measured bool
	value    float64
}

// The figures, in the order of the table.
var (
	TextRate    = &Figure{Name: "20,000 plain texts that wait, end to end", Python: "130–290", Goal: "≥ 1,000", Unit: "messages/s"}
	TextCPU     = &Figure{Name: "processor time for 1,000 of them", Python: "2.0–2.6", Goal: "≤ 0.25", Unit: "cpu-s", Digits: 3}
	TextObjects = &Figure{Name: "objects for each", Python: "2.08", Goal: "≤ 2.02", Unit: "objects", Digits: 4}
	TextDisk    = &Figure{Name: "store for 1,000 of them, after landing", Python: "–", Goal: "–", Unit: "KiB"}
	TextPeak    = &Figure{Name: "largest resident memory meanwhile", Python: "–", Goal: "–", Unit: "MiB", Digits: 1}

	SecretRate = &Figure{Name: "6,400 encrypted texts that wait in 64 rooms, end to end", Python: "–", Goal: "≥ 700", Unit: "messages/s"}
	SecretRead = &Figure{Name: "the same, until they are decrypted and stored", Python: "–", Goal: "–", Unit: "messages/s"}
	SecretCPU  = &Figure{Name: "processor time for 1,000 encrypted ones", Python: "–", Goal: "–", Unit: "cpu-s", Digits: 3}

	PlainHalf  = &Figure{Name: "one plain text, sent → out of the queue: half of them within", Python: "15,000", Goal: "< 300", Unit: "ms", Digits: 1}
	PlainMost  = &Figure{Name: "… 95 % within", Python: "28,000", Goal: "–", Unit: "ms", Digits: 1}
	SecretHalf = &Figure{Name: "one encrypted text, sent → out of the queue: half of them within", Python: "–", Goal: "< 300", Unit: "ms", Digits: 1}
	SecretMost = &Figure{Name: "… 95 % within (encrypted)", Python: "–", Goal: "–", Unit: "ms", Digits: 1}

	IdleMemory    = &Figure{Name: "resident memory at rest", Python: "109", Goal: "< 40", Unit: "MiB", Digits: 1}
	IdleAnonymous = &Figure{Name: "… without the pages of the binary", Python: "–", Goal: "–", Unit: "MiB", Digits: 1}
	FilePeak      = &Figure{Name: "largest resident memory while a file of 1 GiB passes", Python: "780 at 50 MiB", Goal: "rest + 16", Unit: "MiB", Digits: 1}

	FirstStart  = &Figure{Name: "start → first /sync answered, with the first login", Python: "–", Goal: "–", Unit: "ms"}
	EmptyStart  = &Figure{Name: "start → first /sync answered", Python: "1,100–1,500", Goal: "< 1,000", Unit: "ms"}
	LoadedStart = &Figure{Name: "… with a store of 1,000,000 events", Python: "–", Goal: "< 1,000", Unit: "ms"}

	PacedLost = &Figure{Name: "2,000 texts at 35/s in four rooms, ten events a room in a /sync: lost", Python: "2–10 %", Goal: "0", Unit: "lost"}
	PacedLate = &Figure{Name: "… 95 % are out of the queue within", Python: "–", Goal: "–", Unit: "ms"}

	PlatformLost   = &Figure{Name: "platform away for two minutes: lost", Python: "nearly all", Goal: "0", Unit: "lost"}
	PlatformBack   = &Figure{Name: "… back to everything delivered", Python: "–", Goal: "–", Unit: "s", Digits: 1}
	BrokerLost     = &Figure{Name: "broker away for two minutes: lost", Python: "nearly all", Goal: "0", Unit: "lost"}
	BrokerBack     = &Figure{Name: "… back to everything delivered (broker)", Python: "–", Goal: "–", Unit: "s", Digits: 1}
	HomeserverLost = &Figure{Name: "homeserver away for two minutes: lost", Python: "nearly all", Goal: "0", Unit: "lost"}
	HomeserverBack = &Figure{Name: "… back to everything delivered (homeserver)", Python: "–", Goal: "–", Unit: "s", Digits: 1}

	BinarySize = &Figure{Name: "the binary", Python: "–", Goal: "< 25", Unit: "MiB", Digits: 1}
)

// Figures are all rows.
var Figures = []*Figure{
	TextRate, TextCPU, TextObjects, TextDisk, TextPeak,
	SecretRate, SecretRead, SecretCPU,
	PlainHalf, PlainMost, SecretHalf, SecretMost,
	IdleMemory, IdleAnonymous, FilePeak,
	FirstStart, EmptyStart, LoadedStart,
	PacedLost, PacedLate,
	PlatformLost, PlatformBack, BrokerLost, BrokerBack, HomeserverLost, HomeserverBack,
	BinarySize,
}

// Is reports the figure's value as a metric of the benchmark and keeps it for the
// table. Several figures of a benchmark may have one unit, so what a metric is of
// stands before it.
func (f *Figure) Is(b *testing.B, of string, value float64) {
	b.Helper()
	f.measured, f.value = true, value
	if of != "" {
		of += "-"
	}
	b.ReportMetric(value, of+f.Unit)
}

// text is the measured value as the table shows it.
func (f *Figure) text() string {
	number := strconv.FormatFloat(f.value, 'f', f.Digits, 64)
	for at := len(number) - 4 - f.Digits - min(f.Digits, 1); at >= 0 && number[at] != '-'; at -= 3 {
		number = number[:at+1] + "," + number[at+1:]
	}
	return number + " " + f.Unit
}
