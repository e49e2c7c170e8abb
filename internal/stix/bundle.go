package stix

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/google/uuid"
)

// NewBundle puts objects into the order in which OpenCTI's own splitter sends
// them: by the number of dependencies, those that stand first first. Of several
// objects with one id the last wins, at the place of the first. References to
// what is not among the objects, to itself and in circles do not count.
func NewBundle(objects ...Object) Bundle {
	o := newOrder(objects)
	for _, object := range objects {
		o.visit(object.ObjectID())
	}
	slices.SortStableFunc(o.visited, func(a, b ID) int { return cmp.Compare(o.depth[a], o.depth[b]) })
	ordered := make([]Object, 0, len(o.visited))
	for _, id := range o.visited {
		ordered = append(ordered, o.byID[id])
	}
	return Bundle{Objects: ordered}
}

// Sequence is the sequence number of each object (x_opencti_seq): one plus the
// numbers of all that it refers to in the bundle.
func (b Bundle) Sequence() []int {
	o := newOrder(b.Objects)
	sequence := make([]int, 0, len(b.Objects))
	for _, object := range b.Objects {
		sequence = append(sequence, o.visit(object.ObjectID()))
	}
	return sequence
}

// order counts dependencies, depth first.
type order struct {
	byID    map[ID]Object
	depth   map[ID]int
	busy    map[ID]bool
	visited []ID // each after all that it refers to
}

func newOrder(objects []Object) *order {
	o := &order{byID: make(map[ID]Object), depth: make(map[ID]int), busy: make(map[ID]bool)}
	for _, object := range objects {
		o.byID[object.ObjectID()] = object
	}
	return o
}

func (o *order) visit(id ID) int {
	if depth, done := o.depth[id]; done {
		return depth
	}
	object, ok := o.byID[id]
	if !ok || o.busy[id] {
		return 0
	}
	o.busy[id] = true
	depth := 1
	for _, ref := range object.Refs() {
		depth += o.visit(ref)
	}
	o.busy[id] = false
	o.depth[id] = depth
	o.visited = append(o.visited, id)
	return depth
}

// MarshalJSON writes a STIX bundle. Its id is made of its contents, so that equal
// bundles are equal bytes.
func (b Bundle) MarshalJSON() ([]byte, error) {
	var objects bytes.Buffer
	objects.WriteByte('[')
	for i, object := range b.Objects {
		if i > 0 {
			objects.WriteByte(',')
		}
		data, err := Marshal(object)
		if err != nil {
			return nil, err
		}
		objects.Write(data)
	}
	objects.WriteByte(']')
	var e encoder
	e.text("type", "bundle")
	e.text("id", "bundle--"+uuid.NewSHA1(namespace, objects.Bytes()).String())
	e.key("objects")
	e.b = append(e.b, objects.Bytes()...)
	return e.done(), nil
}
