package network

// SettingError is a setting that no connection can be made with. A person has to
// cure it.
type SettingError struct {
	Variable string
	// Wrong completes the sentence "the setting …"; it repeats nothing of the value.
	Wrong string
	Cure  string
	err   error
}

// Error names the setting and what is wrong with it.
func (e *SettingError) Error() string {
	text := e.Variable + " " + e.Wrong
	if e.err != nil {
		text += ": " + e.err.Error()
	}
	return text
}

// Hint says what to do about it.
func (e *SettingError) Hint() string { return e.Cure }

// Unwrap gives the failure behind it.
func (e *SettingError) Unwrap() error { return e.err }
