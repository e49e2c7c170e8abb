// Package config reads the settings once, at the start, and tells every mistake
// in them at once.
//
// A setting has one variable (MATRIX_SERVER) and, unless it is a proxy's, one key
// in config.yml (matrix.server): the variable's name, split at its first
// underscore. The variable wins over config.yml, config.yml over the default; where
// there is no config.yml, a file named .env takes its place. A variable that is set
// but empty means the default, whatever config.yml says: OpenCTI's own library
// reads it so. A secret can stand in a file that its twin with the suffix _FILE
// names.
//
// Rules for some rooms stand in config.yml alone: see [RoomRule].
//
// The comments and tags of [Config]'s fields are the manual. The table in README.md,
// config.yml.sample and the files of OpenCTI's connectors repository (__metadata__) are
// made of them by go test ./internal/config -update, and compared without that flag.
//
// What a secret holds is never part of a [Problem], a [Warning] or a log line:
//
//	c, err := config.Load(config.Input{Environ: os.Environ(), Folders: []string{"."}})
//	if problems, ok := errors.AsType[config.Problems](err); ok {
//		for _, p := range problems { … p.Error(), p.Cure … }
//	}
package config
