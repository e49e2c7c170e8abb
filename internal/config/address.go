package config

import (
	"net/url"
	"regexp"
	"strings"

	"maunium.net/go/mautrix/id"
)

// URL is an absolute http or https address without a final slash.
type URL string

// UnmarshalText checks the address and takes the final slashes off.
func (u *URL) UnmarshalText(text []byte) error {
	s := strings.TrimRight(string(text), "/")
	if err := checkURL(s); err != nil {
		return err
	}
	if strings.HasSuffix(s, "/graphql") {
		return malformed("names the API, not the platform", "leave /graphql off")
	}
	*u = URL(s)
	return nil
}

func checkURL(s string) error {
	const example = "write it like https://host.example.org"
	u, err := url.Parse(s)
	switch {
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		return malformed("is no http or https address", example)
	case u.User != nil:
		return malformed("has a user or password in it", "leave them out: the token or password has a setting of its own")
	case u.RawQuery != "" || u.Fragment != "":
		return malformed("has more after the address", example)
	}
	return nil
}

// Homeserver is a homeserver's URL, or its server name.
type Homeserver string

// serverName is Matrix Appendices, "Server Name": a host name or address, and a
// port.
var serverName = regexp.MustCompile(`^(?:[0-9A-Za-z.-]{1,255}|\[[0-9A-Fa-f:.]{2,45}\])(?::[0-9]{1,5})?$`)

// UnmarshalText checks the URL or name and takes the final slashes off a URL.
func (h *Homeserver) UnmarshalText(text []byte) error {
	s := string(text)
	if strings.Contains(s, "://") {
		s = strings.TrimRight(s, "/")
		if err := checkURL(s); err != nil {
			return err
		}
	} else if !serverName.MatchString(s) {
		return malformed("is neither a URL nor a server name", "write it like https://matrix.example.org, or like example.org")
	}
	*h = Homeserver(s)
	return nil
}

// IsURL reports whether the homeserver is given by its URL, so that no discovery
// is needed.
func (h Homeserver) IsURL() bool { return strings.Contains(string(h), "://") }

// UserID is a full Matrix id of a person or bot.
type UserID string

// userID is Matrix Appendices, "User Identifiers", with the historical localparts.
var userID = regexp.MustCompile(`^@[!-9;-~]+:(.+)$`)

// UnmarshalText checks the id.
func (u *UserID) UnmarshalText(text []byte) error {
	m := userID.FindSubmatch(text)
	if m == nil || len(text) > 255 || !serverName.Match(m[1]) {
		return malformed("is no full Matrix id", "write it like @octi:example.org")
	}
	*u = UserID(text)
	return nil
}

// ID is the id in Matrix's own type.
func (u UserID) ID() id.UserID { return id.UserID(u) }

// Permalink is what a link to a message starts with; it is taken as written, final
// slash and all.
type Permalink string

// UnmarshalText checks that it is an http or https address.
func (p *Permalink) UnmarshalText(text []byte) error {
	u, err := url.Parse(string(text))
	if err != nil || u.Host == "" || u.User != nil || u.Scheme != "http" && u.Scheme != "https" {
		return malformed("is no http or https address", "write it like https://matrix.to/#/")
	}
	*p = Permalink(text)
	return nil
}

// Verify says how the platform's certificate is verified. The zero value verifies
// it against the system's certificates.
type Verify struct {
	Off    bool
	CAFile string // certificates to trust beside the system's
}

// UnmarshalText takes a boolean, or the path of a file.
func (v *Verify) UnmarshalText(text []byte) error {
	var on bool
	if err := boolean(string(text), &on); err == nil {
		*v = Verify{Off: !on}
		return nil
	}
	if !strings.ContainsAny(string(text), `/\.`) {
		return malformed("is neither true nor false nor a path", "write true, or the path of a file with certificates")
	}
	*v = Verify{CAFile: string(text)}
	return nil
}
