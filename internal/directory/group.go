package directory

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/stix"
)

// group is what stands in one file: an owner (a Channel, Identity or
// Media-Content) and the relationships that are told with it.
type group struct {
	owner   stix.ID
	objects []object // of the batch
	// missing is an object that the group refers to and that nobody has; such a
	// group is not written.
	missing stix.ID
}

// group sorts the objects of a batch by the file that they belong to, in the order
// of the batch. A marking needs no file.
func (d *Directory) group(b stix.Bundle) []group {
	var groups []group
	at := map[stix.ID]int{}       // of groups, by owner
	inBatch := map[stix.ID]bool{} // owners and relationships so far
	present := func(id stix.ID) bool {
		_, inFolder := d.index[id]
		return inFolder || inBatch[id] || id.Type() == stix.TypeMarking
	}
	for _, o := range b.Objects {
		parsed, err := parse(o)
		if err != nil || parsed.kind() == stix.TypeMarking {
			continue
		}
		owner := parsed.owner()
		i, known := at[owner]
		if !known {
			i = len(groups)
			at[owner] = i
			groups = append(groups, group{owner: owner})
		}
		inBatch[parsed.id] = true
		groups[i].objects = append(groups[i].objects, parsed)
		for _, ref := range append(parsed.refs(), owner) {
			if ref != parsed.id && !present(ref) && groups[i].missing == "" {
				groups[i].missing = ref
			}
		}
	}
	return groups
}

// write makes the group's file: what the file held of its own, with the group's
// objects over it, then copies of what they refer to.
func (d *Directory) write(w *writer, g group) error {
	before, err := d.readIfThere(g.owner)
	if err != nil {
		return err
	}
	var own []object
	for _, o := range before {
		if o.id == g.owner || o.owner() == g.owner && o.kind() == stix.TypeRelationship {
			own = append(own, o)
		}
	}
	for _, o := range g.objects {
		if i := slices.IndexFunc(own, func(p object) bool { return p.id == o.id }); i >= 0 {
			o.keepFiles(own[i])
			own[i] = o
		} else {
			own = append(own, o)
		}
	}
	all := own
	for i := 0; i < len(all); i++ { // all grows while copies refer to more
		for _, ref := range all[i].refs() {
			if slices.ContainsFunc(all, func(o object) bool { return o.id == ref }) || ref.Type() == stix.TypeMediaContent {
				continue
			}
			copied, err := d.copyOf(ref)
			if err != nil {
				return err
			}
			all = append(all, copied...)
		}
	}
	i := slices.IndexFunc(own, func(o object) bool { return o.id == g.owner })
	if i < 0 {
		return fmt.Errorf("the folder has no %s", g.owner)
	}
	path := own[i].path()
	former, had := d.index[g.owner]
	if err := d.put(w, path, all); err != nil {
		return err
	}
	d.index[g.owner] = path
	if had && former != path {
		return w.remove(former)
	}
	return nil
}

// copyOf gives a copy of an object from its own file, and the definition of a
// marking. What is not known is left out.
func (d *Directory) copyOf(id stix.ID) ([]object, error) {
	if id.Type() == stix.TypeMarking {
		if definition, ok := definitions[id]; ok {
			return []object{mustParse(definition)}, nil
		}
		return nil, nil
	}
	stored, err := d.readIfThere(id)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(stored, func(o object) bool { return o.id != id }), nil
}

// owner is the object in whose file this one stands: a relationship is told by
// its source, but for a publication, which is told by what is published.
func (o object) owner() stix.ID {
	switch {
	case o.kind() != stix.TypeRelationship:
		return o.id
	case o.text("relationship_type") == stix.Publishes:
		return stix.ID(o.text("target_ref"))
	}
	return stix.ID(o.text("source_ref"))
}

// path is where the object's file stands below the root.
func (o object) path() string {
	_, id, _ := strings.Cut(string(o.id), "--")
	switch o.kind() {
	case stix.TypeChannel:
		return filepath.Join(channelsFolder, id+".json")
	case stix.TypeIdentity:
		return filepath.Join(authorsFolder, id+".json")
	}
	day, clock, ok := strings.Cut(o.text("publication_date"), "T")
	if !ok || strings.ContainsAny(day, "/.") {
		return filepath.Join(messagesFolder, "undated", id+".json")
	}
	clock = strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, clock)
	return filepath.Join(messagesFolder, day, clock+"-"+id+".json")
}
