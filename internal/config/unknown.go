package config

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// unread are names that OpenCTI's library knows and that nothing here reads. They are
// told apart from misspelt ones.
var unread = map[string]string{
	"CONNECTOR_AUTO":                                         reasonNotImport,
	"CONNECTOR_ONLY_CONTEXTUAL":                              reasonNotImport,
	"CONNECTOR_DURATION_PERIOD":                              reasonStreams,
	"CONNECTOR_RUN_AND_TERMINATE":                            reasonStreams,
	"CONNECTOR_VALIDATE_BEFORE_IMPORT":                       reasonNotRead,
	"CONNECTOR_SEND_TO_QUEUE":                                reasonNotRead,
	"CONNECTOR_SEND_TO_DIRECTORY":                            reasonExport,
	"CONNECTOR_SEND_TO_DIRECTORY_PATH":                       reasonExport,
	"CONNECTOR_SEND_TO_DIRECTORY_RETENTION":                  reasonExport,
	"CONNECTOR_SEND_TO_S3":                                   reasonNotRead,
	"CONNECTOR_AUTO_CREATE_SERVICE_ACCOUNT":                  reasonNotRead,
	"CONNECTOR_AUTO_CREATE_SERVICE_ACCOUNT_CONFIDENCE_LEVEL": reasonNotRead,
	"CONNECTOR_SEND_TO_S3_BUCKET":                            reasonNotRead,
	"CONNECTOR_SEND_TO_S3_FOLDER":                            reasonNotRead,
	"CONNECTOR_SEND_TO_S3_RETENTION":                         reasonNotRead,
	"CONNECTOR_LISTEN_PROTOCOL_API_PORT":                     reasonNotImport,
	"CONNECTOR_LISTEN_PROTOCOL_API_PATH":                     reasonNotImport,
	"CONNECTOR_LISTEN_PROTOCOL_API_SSL":                      reasonNotImport,
	"CONNECTOR_LISTEN_PROTOCOL_API_URI":                      reasonNotImport,
	"CONNECTOR_AUTO_UPDATE":                                  reasonNotRead,
	"CONNECTOR_ENRICHMENT_RESOLUTION":                        reasonNotImport,
	"CONNECTOR_LISTEN_PROTOCOL":                              reasonNotImport,
	"CONNECTOR_LIVE_STREAM_ID":                               reasonNotImport,
	"CONNECTOR_UPDATE_EXISTING_DATA":                         reasonNotRead,
}

const (
	reasonNotRead   = "is not read by this version"
	reasonNotImport = "has no effect on a connector that imports"
	reasonStreams   = "has no effect: the connector reads as messages come"
	reasonExport    = "is not read: use the command export"
)

// prefixes are those under which an unknown variable is taken for a misspelt one.
var prefixes = []string{"MATRIX_", "CONNECTOR_", "OPENCTI_", "MQ_"}

// unknownNames warns about variables that look like settings and are none.
func unknownNames(all []place, list []setting) []Warning {
	known := map[string]bool{}
	for i := range list {
		for _, name := range list[i].env {
			known[name] = true
			if list[i].secret {
				known[name+fileSuffix] = true
			}
		}
	}
	var warnings []Warning
	told := map[string]bool{}
	for _, p := range all {
		for _, name := range names(p.values) {
			if known[name] || told[name] || !hasPrefix(name) {
				continue
			}
			told[name] = true
			says := "is no setting of this connector"
			if reason, ok := unread[name]; ok {
				says = reason
			} else if near := nearest(name, names(known)); near != "" {
				says += "; did you mean " + near + "?"
			}
			warnings = append(warnings, Warning{Variable: name, Says: says})
		}
	}
	return warnings
}

func hasPrefix(name string) bool {
	for _, p := range prefixes {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return false
}

// shortStoreKey is the length under which a key can hardly have been drawn at random:
// 16 characters of base64 are 96 bits.
const shortStoreKey = 16

// risks warns about what is allowed and better not so.
func (c *Config) risks() []Warning {
	var warnings []Warning
	for _, p := range c.Matrix.InviteFrom {
		if p == "*:*" || p == "@*:*" {
			warnings = append(warnings, Warning{"MATRIX_INVITE_FROM", "lets everybody invite the bot"})
		}
	}
	if n := utf8.RuneCountInString(c.Matrix.StoreKey.Reveal()); 0 < n && n < shortStoreKey {
		warnings = append(warnings, Warning{"MATRIX_STORE_KEY", fmt.Sprintf("has only %d characters and may be guessed from a stolen disk; it can be changed before the first start alone", n)})
	}
	if c.OpenCTI.SSLVerify.Off {
		warnings = append(warnings, Warning{"OPENCTI_SSL_VERIFY", "is off: anybody between here and the platform can read the token"})
	}
	if !c.MQ.SSLRejectUnauthorized && c.Source("MQ_USE_SSL_REJECT_UNAUTHORIZED") != FromDefault {
		warnings = append(warnings, Warning{"MQ_USE_SSL_REJECT_UNAUTHORIZED", "is off: anybody between here and the broker can read what is imported"})
	}
	return warnings
}
