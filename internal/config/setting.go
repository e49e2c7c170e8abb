package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// fileSuffix makes the name of a secret's twin.
const fileSuffix = "_FILE"

// setting is one field of [Config] with what its tags say.
type setting struct {
	env     []string // the variable, then other spellings of it
	key     string   // in config.yml, empty for none
	def     string
	example string // what a value looks like, where there is no default
	secret  bool
	always  bool // required
	onPlat  bool // required towards a platform
	forPlat bool // of no effect without a platform
	min     int
	max     int
	field   reflect.Value
}

func (s *setting) name() string { return s.env[0] }

// settings lists the fields of c in their order.
func settings(c *Config) []setting {
	var list []setting
	root := reflect.ValueOf(c).Elem()
	for i := range root.NumField() {
		section, group := root.Type().Field(i).Tag.Get("section"), root.Field(i)
		if group.Kind() != reflect.Struct {
			continue
		}
		for j := range group.NumField() {
			tag := group.Type().Field(j).Tag
			if tag.Get("env") == "" {
				continue
			}
			s := setting{
				env: strings.Split(tag.Get("env"), ","), def: tag.Get("default"), example: tag.Get("example"), field: group.Field(j),
				always: tag.Get("need") == "always", onPlat: tag.Get("need") == "platform",
			}
			s.forPlat = s.onPlat || tag.Get("for") == "platform"
			_, s.secret = reflect.TypeAssert[confidential](s.field)
			s.min, _ = strconv.Atoi(tag.Get("min"))
			s.max, _ = strconv.Atoi(tag.Get("max"))
			if section != "" {
				s.key = section + "." + strings.ToLower(strings.TrimPrefix(s.name(), strings.ToUpper(section)+"_"))
			}
			list = append(list, s)
		}
	}
	return list
}

// set reads the text into the field. Its error completes the sentence "the
// setting …", and carries the cure where there is a special one.
func (s *setting) set(text string) error {
	field := s.field
	if field.Kind() == reflect.Pointer {
		field.Set(reflect.New(field.Type().Elem()))
		field = field.Elem()
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](field.Addr()); ok {
		return u.UnmarshalText([]byte(text))
	}
	switch p := field.Addr().Interface().(type) {
	case *string:
		*p = text
	case *int:
		n, err := strconv.Atoi(text)
		if err != nil || n < s.min || n > s.max {
			return malformed("is no number that it can be", fmt.Sprintf("write a whole number from %d to %d", s.min, s.max))
		}
		*p = n
	case *bool:
		return boolean(text, p)
	default:
		panic("config: no way to read a " + s.field.Type().String())
	}
	return nil
}

// boolean understands what pycti does (yes, true, True, no, false, False) and what
// people write besides.
func boolean(text string, to *bool) error {
	switch strings.ToLower(text) {
	case "true", "yes", "on", "1", "t", "y":
		*to = true
	case "false", "no", "off", "0", "f", "n":
		*to = false
	default:
		return malformed("is neither true nor false", "write true or false")
	}
	return nil
}

// malformedError is why a text is no value of its setting.
type malformedError struct{ wrong, cure string }

func (e *malformedError) Error() string { return e.wrong }

func malformed(wrong, cure string) error { return &malformedError{wrong: wrong, cure: cure} }

// problem makes the problem that err, an error of set, stands for.
func (s *setting) problem(v value, err error) Problem {
	p := Problem{Variable: s.name(), Key: s.key, Source: v.source, Wrong: err.Error()}
	if v.text != "" {
		p.Shape = shape(v.text, s.secret)
	}
	if m, ok := errors.AsType[*malformedError](err); ok {
		p.Cure = m.cure
	}
	return p
}
