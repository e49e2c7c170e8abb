package sas

// finish says that their keys are verified, when our person has confirmed and they are.
func (v *Verification) finish() []Message {
	if v.state != StateConfirmed || !v.vouched {
		return nil
	}
	out := []Message{v.send(typeDone, map[string]any{})}
	v.state = StateFinishing
	if v.theyDone || v.bare { // older clients, which begin with start, have no done
		v.done()
	}
	return out
}

// onDone takes their word that ours are verified. It comes after their mac, which may
// still wait for their keys.
func (v *Verification) onDone(Event, fields) []Message {
	switch {
	case v.state == StateFinishing:
		v.done()
	case v.state == StateConfirmed && v.pending != nil:
		v.theyDone = true
	default:
		return v.Cancel(CodeUnexpectedMessage)
	}
	return nil
}

func (v *Verification) done() {
	v.state = StateDone
	v.forget()
}

// Outcome is the other side with those of its keys that were verified, when all is done:
// what the caller may sign. A key that it did not vouch for is empty.
func (v *Verification) Outcome() (Party, bool) {
	if v.state != StateDone {
		return Party{}, false
	}
	return Party{User: v.their.User, Device: v.their.Device, Keys: v.verified}, true
}
