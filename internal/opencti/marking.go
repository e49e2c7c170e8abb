package opencti

import (
	"context"
	"fmt"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// marking is a marking definition as the platform holds it.
type marking struct {
	InternalID string `json:"id"`
	StandardID string `json:"standard_id"`
	Definition string `json:"definition"`
	Type       string `json:"definition_type"`
	Order      int    `json:"x_opencti_order"`
}

// lookUpMarkings asks for every marking that bundles will name, and reports those
// that are not there or not for the user.
func (p *Platform) lookUpMarkings(ctx context.Context, u user) (found map[stix.ID]marking, missing []error, err error) {
	found = map[stix.ID]marking{}
	for _, id := range p.config.Markings {
		var out struct {
			Marking *marking `json:"markingDefinition"`
		}
		err := p.client.do(ctx, opMarking, map[string]any{"id": string(id)}, &out)
		switch {
		case ClassOf(err) == Unauthorized && !u.has("KNOWLEDGE"):
			return found, missing, nil // the right that is lacking is a problem of its own
		case err != nil:
			return nil, nil, err
		case out.Marking == nil:
			missing = append(missing, &Problem{
				What: fmt.Sprintf("marking %s does not exist on the platform", id),
				Cure: "create it there, or set another one: objects with an unknown marking would be imported without any",
			})
		case !u.mayUse(out.Marking.StandardID):
			missing = append(missing, &Problem{
				What: "the token's user may not use the marking " + clip(out.Marking.Definition),
				Cure: "allow it to a group of the user, or set a lower marking",
			})
		default:
			found[id] = *out.Marking
		}
	}
	return found, missing, nil
}
