package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
)

// The files that are looked for.
const (
	yamlName   = "config.yml"
	dotenvName = ".env"
)

// Source is where a value came from.
type Source string

// The sources, from the weakest to the strongest. FromFile is a file that a _FILE
// twin names.
const (
	FromDefault     Source = "default"
	FromDotenv      Source = dotenvName
	FromYAML        Source = yamlName
	FromEnvironment Source = "environment"
	FromFile        Source = "file"
)

// place is one source with the values that stand in it, by variable.
type place struct {
	source Source
	values map[string]string
	rules  []RoomRule // of config.yml
}

// value is a setting's text and where it stood.
type value struct {
	text   string
	source Source
}

// places reads the sources, the strongest first. Of the folders the first that
// holds config.yml, else the first that holds .env, is used.
func places(in Input, list []setting) ([]place, []Problem) {
	environ := map[string]string{}
	for _, pair := range in.Environ {
		if name, text, ok := strings.Cut(pair, "="); ok {
			environ[name] = text
		}
	}
	found := []place{{source: FromEnvironment, values: environ}}
	text, problems := firstFile(in.Folders, yamlName)
	if text != nil || problems != nil {
		file, more := parseYAML(text, list)
		return append(found, file), append(problems, more...)
	}
	text, problems = firstFile(in.Folders, dotenvName)
	if text != nil {
		values, more := parseDotenv(string(text))
		return append(found, place{source: FromDotenv, values: values}), append(problems, more...)
	}
	return found, problems
}

// firstFile reads the file from the first folder that has it; nil when none has.
func firstFile(folders []string, name string) ([]byte, []Problem) {
	for _, folder := range folders {
		text, err := os.ReadFile(filepath.Join(folder, name)) //nolint:gosec // a fixed name in a folder of the caller
		switch {
		case err == nil:
			return append([]byte{}, text...), nil
		case errors.Is(err, fs.ErrNotExist):
		default:
			return nil, []Problem{{
				Wrong: filepath.Join(folder, name) + " cannot be read: " + errno(err),
				Cure:  "make it a file that this user may read, or remove it",
			}}
		}
	}
	return nil, nil
}

// errno is what the system said, without the path: somebody may have put the
// secret itself where the path of its file belongs.
func errno(err error) string {
	if e, ok := errors.AsType[syscall.Errno](err); ok {
		return e.Error()
	}
	return "it is no plain file"
}

// find gives the setting's value from the strongest place that has it. A place
// where it is empty ends the search: the default holds, as in pycti.
func find(s *setting, all []place) (value, []Warning, *Problem) {
	for i, p := range all {
		text, set := lookup(p, s.env)
		path, pathSet := "", false
		if s.secret {
			path, pathSet = lookup(p, twins(s.env))
		}
		switch {
		case text != "" && path != "":
			return value{}, nil, &Problem{
				Variable: s.name(), Key: s.key, Source: p.source,
				Wrong: "and " + s.name() + fileSuffix + " are both set", Cure: "keep one of them",
			}
		case text != "":
			return value{text: text, source: p.source}, nil, nil
		case path != "":
			return fromFile(s, path, p.source)
		case set || pathSet:
			return value{text: s.def, source: FromDefault}, hidden(s, all[i+1:]), nil
		}
	}
	return value{text: s.def, source: FromDefault}, nil, nil
}

func fromFile(s *setting, path string, source Source) (value, []Warning, *Problem) {
	text, err := os.ReadFile(path) //nolint:gosec // the operator names the file
	if err != nil {
		return value{}, nil, &Problem{
			Variable: s.name() + fileSuffix, Source: source, Shape: shape(path, true),
			Wrong: "names a file that cannot be read (" + errno(err) + ")",
			Cure:  "give the path of a file that holds the secret and that this user may read",
		}
	}
	v := value{text: strings.TrimSpace(string(text)), source: FromFile}
	if v.text == "" {
		return value{}, nil, &Problem{
			Variable: s.name() + fileSuffix, Source: source,
			Wrong: "names an empty file", Cure: "write the secret into that file",
		}
	}
	return v, nil, nil
}

// hidden warns when an empty variable takes a setting away that stands in a file:
// a marking could fall back to a weaker one unseen.
func hidden(s *setting, weaker []place) []Warning {
	for _, p := range weaker {
		if text, _ := lookup(p, s.env); text != "" {
			return []Warning{{Variable: s.name(), Says: "is set but empty, which hides the value in " + string(p.source)}}
		}
	}
	return nil
}

// lookup finds the first of the names that has a value that is not blank.
func lookup(p place, names []string) (text string, set bool) {
	for _, name := range names {
		t, ok := p.values[name]
		set = set || ok
		if t = strings.TrimSpace(t); t != "" {
			return t, true
		}
	}
	return "", set
}

func twins(names []string) []string {
	list := make([]string, len(names))
	for i, name := range names {
		list[i] = name + fileSuffix
	}
	return list
}

// names lists the keys of a map in order.
func names[V any](m map[string]V) []string {
	list := make([]string, 0, len(m))
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}
