// Package control lets one command ask another: the running connector listens on a
// socket in its store's folder, and commands such as health ask there, over HTTP. It
// is always on, costs nothing, and needs no port.
//
// Who may ask is who may enter the store's folder as its owner: the socket has mode
// 0600, and there is no moment at which it has another one. It is bound in a folder
// of mode 0700 and then moved to its place, which also takes the place of a socket
// that a killed process has left behind. The caller holds the lock of the store
// while it listens, so that there is one listener at a time.
//
// An address of a socket has 107 bytes (unix(7)). A longer path is reached through
// /proc/self/fd, which Linux has and others do not.
package control
