package config

import (
	"slices"
	"strings"
)

// credentials checks that not two ways to log in are given, unless what was given is
// among the problems already. None is fine, where the login command has made a device
// or will make one; who has not even named the account is told of the usual way.
func (c *Config) credentials(found Problems) Problems {
	if found.tell("MATRIX_PASSWORD") || found.tell("MATRIX_ACCESS_TOKEN") {
		return nil
	}
	p := Problem{Variable: "MATRIX_PASSWORD", Key: "matrix.password"}
	switch password, token := c.Matrix.Password.IsSet(), c.Matrix.AccessToken.IsSet(); {
	case password && token:
		p.Wrong = "and MATRIX_ACCESS_TOKEN are both set"
		p.Cure = "keep the access token where the homeserver has no password login, else the password"
	case !password && !token && found.missing("MATRIX_USER_ID"):
		p.Wrong = notSet + ", nor is MATRIX_ACCESS_TOKEN"
		p.Cure = "set MATRIX_PASSWORD, or let MATRIX_PASSWORD_FILE name a file that holds it; neither is needed after matrix-connector login"
	default:
		return nil
	}
	return Problems{p}
}

// pairs checks that what is of use only together was given together.
func (c *Config) pairs(found Problems, purpose Purpose) Problems {
	var problems Problems
	need := func(name string, set bool, other string, otherSet bool, cure string) {
		if set && !otherSet && !found.tell(name) && !found.tell(other) {
			problems = append(problems, Problem{
				Variable: name, Key: keyOf(name), Source: c.Source(name), Wrong: "is set, but " + other + " is not", Cure: cure,
			})
		}
	}
	pair := func(cert string, certSet bool, key string, keySet bool) {
		cure := "set both " + cert + " and " + key + ", or neither"
		need(cert, certSet, key, keySet, cure)
		need(key, keySet, cert, certSet, cure)
	}
	m, o, q := &c.Matrix, &c.OpenCTI, &c.MQ
	pair("MATRIX_CLIENT_CERT", m.ClientCert != "", "MATRIX_CLIENT_KEY", m.ClientKey.IsSet())
	if purpose != ForPlatform {
		return problems
	}
	pair("OPENCTI_CLIENT_CERT", o.ClientCert != "", "OPENCTI_CLIENT_KEY", o.ClientKey.IsSet())
	pair("MQ_USE_SSL_CERT", q.SSLCert != "", "MQ_USE_SSL_KEY", q.SSLKey.IsSet())
	need("MQ_USE_SSL_PASSPHRASE", q.SSLPassphrase.IsSet(), "MQ_USE_SSL_KEY", q.SSLKey.IsSet(),
		"set MQ_USE_SSL_KEY to the key that the passphrase opens, or remove the passphrase")
	return problems
}

// tell reports whether something about the variable, or about its file, is told
// already.
func (p Problems) tell(variable string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return strings.TrimSuffix(one.Variable, fileSuffix) == variable })
}

// missing reports whether a setting is told to be not set.
func (p Problems) missing(variable string) bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return one.Variable == variable && strings.HasPrefix(one.Wrong, notSet) })
}

// keyOf is the key in config.yml of a variable that has one.
func keyOf(variable string) string {
	section, rest, _ := strings.Cut(variable, "_")
	return strings.ToLower(section) + "." + strings.ToLower(rest)
}
