package scene

// curtain asserts what holds at the end of every story.
func (s *Scene) curtain() {
	defer func() {
		for _, run := range s.runs {
			run.Kill()
		}
	}()
	if s.t.Failed() {
		s.tellLog()
		return
	}
	s.canaries() // with what lies there while it runs
	s.Stops()
	for _, p := range s.compare(s.said()) {
		s.t.Errorf("at the end: %s", p)
	}
	for _, v := range s.Platform.Violations() {
		s.t.Errorf("the connector misused the platform: %s", v)
	}
	s.audit()
	s.canaries()
	if s.t.Failed() {
		s.tellLog()
	}
}

// tellLog shows what the parts said, for a failure that may not come again.
func (s *Scene) tellLog() {
	for i, run := range s.runs {
		s.t.Logf("the log of run %d ends\n%s", i+1, run.Stderr.Tail(60))
	}
	s.t.Logf("the homeserver's log ends\n%s\n%s", s.Town.Homeserver.Stdout.Tail(20), s.Town.Homeserver.Stderr.Tail(20))
}
