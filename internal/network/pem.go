package network

import (
	"bytes"
	"crypto/x509"
	"os"
	"strings"
)

// material is a setting that holds PEM text, or the path of a file with it.
type material struct {
	variable string
	value    string
}

func (m material) isSet() bool { return strings.TrimSpace(m.value) != "" }

// read gives the PEM text: the value itself where it begins like PEM, as OpenCTI's
// clients tell, else what is in the file of that name. In a text of one line, \n
// stands for the end of a line: files of environment variables know no other way.
func (m material) read() ([]byte, error) {
	value := strings.TrimSpace(m.value)
	if strings.HasPrefix(value, "-----BEGIN") {
		if !strings.Contains(value, "\n") {
			value = strings.ReplaceAll(value, `\n`, "\n")
		}
		return []byte(value), nil
	}
	text, err := os.ReadFile(value) //nolint:gosec // G304: whoever sets the connector up names the file
	if err != nil {
		return nil, &SettingError{
			Variable: m.variable, Wrong: "names a file that cannot be read", err: err,
			Cure: "mount the file where " + m.variable + " says, readable to the connector's user, or give the PEM text itself",
		}
	}
	if !bytes.Contains(text, []byte("-----BEGIN")) {
		return nil, &SettingError{
			Variable: m.variable, Wrong: "names a file that is not PEM",
			Cure: "convert it: openssl x509 -inform der -in FILE -out FILE.pem (or openssl pkey for a key)",
		}
	}
	return text, nil
}

// authorities are the system's and those of the settings; nil means the system's
// alone.
func authorities(settings ...material) (*x509.CertPool, error) {
	var pool *x509.CertPool
	for _, m := range settings {
		if !m.isSet() {
			continue
		}
		text, err := m.read()
		if err != nil {
			return nil, err
		}
		if pool == nil {
			if pool, err = x509.SystemCertPool(); err != nil {
				pool = x509.NewCertPool() // an image without any
			}
		}
		if !pool.AppendCertsFromPEM(text) {
			return nil, &SettingError{
				Variable: m.variable, Wrong: "holds no certificate",
				Cure: "give the certificate of the authority, which begins with -----BEGIN CERTIFICATE-----",
			}
		}
	}
	return pool, nil
}
