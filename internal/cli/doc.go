// Package cli is the command line: it reads arguments and settings, sets up the
// log, and calls the packages that do the work. Each command is a thin file.
//
// What a command was asked for goes to stdout, everything else to stderr: log
// lines, and
//
//	matrix-connector: error: what went wrong
//	matrix-connector: hint: what to do about it
//
// A command that is wrong, or settings that are, end with code 2 before anything
// is opened. To check, wrong settings are what it was asked for: it ends with 3, as
// for anything else that has to be cured.
package cli
