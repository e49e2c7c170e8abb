package store

// Lock takes the exclusive right to act as a device: one process a device. It
// fails at once with [ErrLocked] when another process holds it, and lasts until
// release or the end of the process (flock).
func (s *Store) Lock(device string) (release func() error, err error) { panic("not written") }
