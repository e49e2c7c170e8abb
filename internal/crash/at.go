//go:build !crash

package crash

// Build reports whether this is a build that dies.
const Build = false

// At does nothing: nobody who runs a release wants to die at a place.
func At(string, string) {}
