package openctitest

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"
)

// User is an account of the platform.
type User struct {
	Name  string
	Token string
	// ID is derived from the name when empty.
	ID string
	// Capabilities are the user's rights; nil is the default Connector role of
	// the generation. A right is granted when its name is a part of one of them.
	Capabilities []string
	// Markings are the definitions that the user may see and use, such as
	// "TLP:AMBER"; nil is all.
	Markings []string
	// MaxConfidence caps the confidence of what the user writes; 0 is 100.
	MaxConfidence int
}

// Admin is the right that stands for all others.
const Admin = "BYPASS"

// ConnectorRole is the default Connector role of a generation.
func ConnectorRole(g Generation) []string {
	role := []string{
		"INGESTION", "SETTINGS_SETLABELS", "MODULES_MODMANAGE", "SETTINGS_SETMARKINGS", "KNOWLEDGE_KNUPLOAD",
		"KNOWLEDGE_KNUPDATE_KNBYPASSREFERENCE", "CONNECTORAPI", "TAXIIAPI", "KNOWLEDGE_KNUPDATE_KNDELETE",
		"KNOWLEDGE_KNUPDATE_KNBYPASSFIELDS", "KNOWLEDGE_KNGETEXPORT_KNASKEXPORT", "KNOWLEDGE_KNASKIMPORT", "KNOWLEDGE_KNENRICHMENT",
	}
	if g == Gen7 {
		role = append(role, "APIACCESS_USETOKEN", "SETTINGS_SETKILLCHAINPHASES", "SETTINGS_SETVOCABULARIES", "KNOWLEDGE_KNUPDATE_KNMERGE")
	}
	return role
}

// account is a User with its markings resolved.
type account struct {
	User
	allowed []string // internal ids of markings, in the platform's order
	all     bool
}

func newAccount(u User, g Generation, marks []*entity) *account {
	if u.ID == "" {
		u.ID = uuid.NewSHA1(uuid.NameSpaceOID, []byte("user "+u.Name)).String()
	}
	if u.Capabilities == nil {
		u.Capabilities = ConnectorRole(g)
	}
	if u.MaxConfidence == 0 {
		u.MaxConfidence = 100
	}
	a := &account{User: u}
	a.all = slices.Contains(u.Capabilities, Admin)
	for _, m := range marks {
		if u.Markings == nil || slices.Contains(u.Markings, m.text("definition")) {
			a.allowed = append(a.allowed, m.internal)
		}
	}
	return a
}

// may says whether the account has a right: one of its capabilities contains
// the name of the right.
func (a *account) may(right string) bool {
	return a.all || slices.ContainsFunc(a.Capabilities, func(c string) bool { return strings.Contains(c, right) })
}

// uses says whether the account may see and use the marking.
func (a *account) uses(marking string) bool { return a.all || slices.Contains(a.allowed, marking) }

// sees says whether the account may see the entity.
func (a *account) sees(e *entity) bool {
	for _, m := range e.markings {
		if !a.uses(m) {
			return false
		}
	}
	return true
}

// byHeader finds the account of a request; nil when the token is unknown or may
// not be used.
func (p *Platform) byHeader(h http.Header) *account {
	token, ok := strings.CutPrefix(h.Get("Authorization"), "Bearer ")
	if !ok {
		return nil
	}
	for _, a := range p.accounts {
		if a.Token != token {
			continue
		}
		if p.gen == Gen7 && !a.may("APIACCESS_USETOKEN") {
			return nil
		}
		// Impersonation is for the worker; anyone else's header is ignored.
		if id := h.Get("opencti-applicant-id"); id != "" && a.all {
			if as := p.accountByID(id); as != nil {
				return as
			}
		}
		return a
	}
	return nil
}

func (p *Platform) accountByID(id string) *account {
	for _, a := range p.accounts {
		if a.ID == id {
			return a
		}
	}
	return nil
}

func (p *Platform) accountByName(name string) *account {
	for _, a := range p.accounts {
		if a.Name == name {
			return a
		}
	}
	return nil
}
