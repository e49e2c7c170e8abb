package opencti

import (
	"context"
	"strings"
)

// Right is a capability of the platform's users.
type Right struct {
	Name string // as the platform names it
	Lost string // what does not work without it
}

// Rights that nothing works without, and those that something is lost without
// (least set: opencti.md §12.6). APIACCESS_USETOKEN is not among them: older
// platforms do not know it, and newer ones answer nothing at all without it.
var (
	neededRights = []Right{
		{"CONNECTORAPI", "registering, works and pings"},
		{"KNOWLEDGE_KNUPDATE", "importing and changing objects"},
	}
	optionalRights = []Right{
		{rightModules, "works cannot be read, so nothing tells what the platform refused"},
		{rightUpload, "attachments are not uploaded"},
		{"SETTINGS_SETLABELS", "labels that do not exist yet are dropped silently"},
		{"KNOWLEDGE_KNASKIMPORT", "files of redacted messages cannot be removed"},
		{"KNOWLEDGE_KNUPDATE_KNDELETE", "redacted messages cannot be deleted"},
	}
)

const (
	rightModules = "MODULES"
	rightUpload  = "KNOWLEDGE_KNUPLOAD"
	rightBypass  = "BYPASS"
)

// user is the token's user.
type user struct {
	ID           string `json:"id"`
	Name         string `json:"name"`
	Capabilities []struct {
		Name string `json:"name"`
	} `json:"capabilities"`
	Allowed []struct {
		StandardID string `json:"standard_id"`
	} `json:"allowed_marking"`
	Confidence *struct {
		Max *int `json:"max_confidence"`
	} `json:"effective_confidence_level"`
}

func (p *Platform) me(ctx context.Context) (user, error) {
	var out struct {
		Me user `json:"me"`
	}
	err := p.client.do(ctx, opMe, nil, &out)
	return out.Me, err
}

// has follows the platform's own check, which is by substring: a capability
// whose name contains the wanted one will do.
func (u user) has(right string) bool {
	for _, c := range u.Capabilities {
		if c.Name == rightBypass || strings.Contains(c.Name, right) {
			return true
		}
	}
	return false
}

func (u user) mayUse(standardID string) bool {
	for _, m := range u.Allowed {
		if m.StandardID == standardID {
			return true
		}
	}
	for _, c := range u.Capabilities {
		if c.Name == rightBypass {
			return true
		}
	}
	return false
}

// maxConfidence is -1 where the user has none.
func (u user) maxConfidence() int {
	if u.Confidence == nil || u.Confidence.Max == nil {
		return -1
	}
	return *u.Confidence.Max
}

func (u user) optional() (lacking []Right, canRead, canAttach bool) {
	for _, r := range optionalRights {
		if !u.has(r.Name) {
			lacking = append(lacking, r)
		}
	}
	return lacking, u.has(rightModules) && u.has("KNOWLEDGE"), u.has(rightUpload)
}

func (u user) problems() []error {
	var problems []error
	for _, r := range neededRights {
		if !u.has(r.Name) {
			problems = append(problems, &Problem{
				What: "the token's user lacks the capability " + r.Name + " (" + r.Lost + ")",
				Cure: "give the user of OPENCTI_TOKEN the default Connector role, or add " + r.Name + " to its role",
			})
		}
	}
	if u.maxConfidence() < 0 {
		problems = append(problems, &Problem{
			What: "the token's user has no maximum confidence level",
			Cure: "set one on the user or its group: without it the platform refuses every write",
		})
	}
	return problems
}
