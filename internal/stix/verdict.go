package stix

// Verdict is what became of one object that was sent.
type Verdict struct {
	State VerdictState
	// Reason explains a refusal or an absence in words of the platform; it never
	// holds text of a message.
	Reason string
}

// VerdictState is the outcome of reading an object back.
type VerdictState string

// The outcomes.
const (
	// Landed: the sink holds the object and what it holds agrees with what was sent.
	Landed VerdictState = "landed"
	// Differs: the sink holds the object, but with other text, author or marking;
	// only an amendment can change it.
	Differs VerdictState = "differs"
	// Refused: the sink rejected the object; sending it again unchanged is useless.
	Refused VerdictState = "refused"
	// MissingEnd: refused because an object it refers to is absent.
	MissingEnd VerdictState = "missing_end"
	// Missing: the object is not there and nothing says why; send it again.
	Missing VerdictState = "missing"
)

// Verdicts maps the id of each object of a bundle to its outcome.
type Verdicts map[ID]Verdict
