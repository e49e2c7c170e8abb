package config

import (
	"reflect"
	"slices"
	"strings"
)

// Purpose is what the settings are read for.
type Purpose int

// The purposes. Towards a directory nothing about the platform is required, and
// nothing wrong about it is a problem.
const (
	ForPlatform Purpose = iota
	ForDirectory
)

// Input is where settings are read from.
type Input struct {
	// Environ is the environment, as os.Environ gives it.
	Environ []string
	// Folders are searched in order for config.yml and .env: the working directory,
	// then the folder of the binary.
	Folders []string
	Purpose Purpose
}

// Load reads the settings. Its error is [Problems]: all of them.
func Load(in Input) (*Config, error) {
	c := &Config{sources: map[string]Source{}, texts: map[string]string{}}
	list := settings(c)
	all, fileProblems := places(in, list)
	var problems Problems
	for i := range list {
		s := &list[i]
		v, warnings, problem := find(s, all)
		c.Warnings = append(c.Warnings, warnings...)
		c.sources[s.name()], c.texts[s.name()] = v.source, s.shown(v.text)
		if problem == nil {
			problem = s.take(v, in.Purpose)
		}
		if problem != nil && (in.Purpose == ForPlatform || !s.forPlat) {
			problems = append(problems, *problem)
		}
	}
	problems = append(problems, c.credentials(problems)...)
	problems = append(problems, c.pairs(problems, in.Purpose)...)
	problems = joined(problems, fileProblems, all)
	problems = append(problems, c.withoutFile(problems, all)...)
	c.Warnings = append(c.Warnings, unknownNames(all, list)...)
	for _, p := range all {
		c.Matrix.RoomRules = append(c.Matrix.RoomRules, p.rules...)
	}
	c.Warnings = append(c.Warnings, unreached(c.Matrix.RoomRules)...)
	c.Warnings = append(c.Warnings, c.risks()...)
	if len(problems) > 0 {
		return nil, problems
	}
	return c, nil
}

// joined puts the problems of the file behind those of settings. But a file that
// could not be made out at all has taken settings with it: then it comes first, and
// that they are not set is no mistake of their own.
func joined(settings, file Problems, all []place) Problems {
	given := len(all) > 1 && len(all[1].values) > 0
	if given || !slices.ContainsFunc(file, func(p Problem) bool { return p.Variable == "" && p.Key == "" }) {
		return append(settings, file...)
	}
	settings = slices.DeleteFunc(settings, func(p Problem) bool { return strings.HasPrefix(p.Wrong, notSet) })
	return append(file, settings...)
}

// withoutFile tells those who gave no setting at all that there was no file to have
// them either: the usual cause is a start in another folder.
func (c *Config) withoutFile(problems Problems, all []place) Problems {
	for _, source := range c.sources {
		if source != FromDefault {
			return nil
		}
	}
	if len(problems) == 0 || len(all) > 1 {
		return nil
	}
	return Problems{{
		Wrong: "there is no " + yamlName + " and no " + dotenvName + " in the working directory or beside the binary",
		Cure:  "start it where the file is, or give the settings in the environment",
	}}
}

// Source is where the value of the setting with this variable came from.
func (c *Config) Source(variable string) Source { return c.sources[variable] }

// Secrets are the texts of all secrets that are set, for a log to hide.
func (c *Config) Secrets() []string {
	var list []string
	for _, s := range settings(c) {
		if secret, ok := reflect.TypeAssert[confidential](s.field); ok {
			list = append(list, secret.texts()...)
		}
	}
	return list
}

// Variables names all settings, in their order.
func Variables() []string {
	all := settings(&Config{})
	list := make([]string, 0, len(all))
	for _, s := range all {
		list = append(list, s.name())
	}
	return list
}

// SecretVariables names the variables that hold secrets, to be taken out of the
// process's environment once they are read.
func SecretVariables() []string {
	var list []string
	for _, s := range settings(&Config{}) {
		if s.secret {
			list = append(list, s.env...)
		}
	}
	return list
}

// notSet begins what is said of a setting that is missing.
const notSet = "is not set"

// take reads the value into its field.
func (s *setting) take(v value, purpose Purpose) *Problem {
	needed := s.always || s.onPlat && purpose == ForPlatform
	switch {
	case v.text == "" && needed:
		return &Problem{Variable: s.name(), Key: s.key, Wrong: notSet, Cure: cureOf(s)}
	case v.text == "":
		return nil
	case strings.EqualFold(v.text, "ChangeMe"):
		return &Problem{Variable: s.name(), Key: s.key, Source: v.source, Wrong: "still says ChangeMe", Cure: cureOf(s)}
	}
	if err := s.set(v.text); err != nil {
		p := s.problem(v, err)
		return &p
	}
	return nil
}

// cureOf says how a setting is given, with an example of what it looks like.
func cureOf(s *setting) string {
	if s.name() == "CONNECTOR_ID" {
		return "make a UUID of your own with uuidgen, set CONNECTOR_ID to it, and keep it"
	}
	cure := "set " + s.name()
	if s.example != "" {
		cure += ", e.g. " + s.name() + "=" + s.example
	}
	if s.secret {
		cure += ", or let " + s.name() + fileSuffix + " name a file that holds it"
	}
	return cure
}
