// Package directory writes what would go to a platform into a folder instead, as
// STIX 2.1 bundles that other tools can read:
//
//	channels/<uuid>.json                      a room: its Channel
//	authors/<uuid>.json                       a sender: its Identity
//	messages/<day>/<time>-<uuid>.json         a message: its Media-Content and relationships
//	files/<sha256>-<name>                     an attachment of more than a mebibyte
//
// The uuid is that of the object's id, so the names are the index: there is no
// file besides that could disagree. Exporting a message again, from this store or
// from another one, replaces its file by an equal one.
//
// Each bundle stands alone. It brings the definitions of the markings in it, and a
// message's bundle brings copies of the Channel and the author as they were when it
// was written: an importer that meets a message with an unknown author drops the
// author without a word. The other end of a reply is not in it, but in a bundle of
// its own. Attachments of at most a mebibyte are inside the Media-Content
// (x_opencti_files, which OpenCTI's importer reads); x_matrix_files says where the
// larger ones lie.
//
// A file is written under a passing name, synced and renamed, so that a reader, or
// the next start after a crash, sees the whole of it or nothing. What is in the
// folder is readable by its owner alone. One process at a time exports to a folder
// (flock).
package directory
