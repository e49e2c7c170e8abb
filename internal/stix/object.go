package stix

import (
	"errors"
	"time"
)

// ID is a STIX identifier, "<type>--<uuid>".
type ID string

// Object is one STIX object as it is sent.
type Object interface {
	// ObjectID is the object's id.
	ObjectID() ID
	// ObjectType is the STIX type, e.g. "media-content".
	ObjectType() string
	// Refs are the ids of the objects that this one refers to, markings included.
	Refs() []ID
}

// Bundle is a list of objects in dependency order: an object stands after
// everything in the bundle that it refers to.
type Bundle struct {
	Objects []Object
}

// Found is what a sink holds under an id that was looked up.
type Found struct {
	ID         ID // the id that was asked for
	StandardID ID // the id that the platform computes; empty where it does not say
	InternalID string
	Type       string // STIX type
	Name       string // of a Channel or Individual
	// Description is the text of a Channel.
	Description string
	Aliases     []string
	// Confidence is the stored confidence, -1 where the platform shows none.
	Confidence int
	// Files are the names of the attached files, lower-case.
	Files []string
}

// File is an attachment on its way to a sink.
type File struct {
	Name      string // unique in its object, ignoring case
	MediaType string // sniffed
	Bytes     int64
	SHA256    string // lower-case hex of the content
	Marking   ID
	// Version is the time of the message: a platform keeps the newest version.
	Version time.Time
	// AutoImport lets the platform's file importers run on the file.
	AutoImport bool
}

// Errors that a sink answers and a deliverer branches on.
var (
	// ErrPending: the sink is still at work on the receipt; ask again later.
	ErrPending = errors.New("receipt is pending")
	// ErrLapsed: the receipt is void; what it covered is to be sent again.
	ErrLapsed = errors.New("receipt has lapsed")
	// ErrGone: the object that a file or change was meant for is not there.
	ErrGone = errors.New("object is gone")
)
