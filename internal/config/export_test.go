package config

import "reflect"

// Choices are the values that a type of settings can have; none where it is open.
func Choices(t reflect.Type) []string {
	if c, ok := reflect.TypeAssert[interface{ choices() []string }](reflect.Zero(t)); ok {
		return c.choices()
	}
	return nil
}
