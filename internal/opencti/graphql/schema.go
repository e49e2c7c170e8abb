// Package graphql holds the part of the platform's GraphQL schemas that the
// connector and its stand-in use, one file a generation.
//
// The files are pruned from the vendor's full schemas (Apache-2.0, Community
// Edition): just the types, fields, arguments and rights in use. That they are
// contained in the full ones is tested where OPENCTI_SCHEMAS points to those.
package graphql

import _ "embed"

// Schema64 is what is in use of the schema of platform 6.4.3, the oldest
// supported.
//
//go:embed schema-6.4.graphql
var Schema64 string

// Schema7 is what is in use of the schema of platform 7.260318.0, the newest
// supported.
//
//go:embed schema-7.graphql
var Schema7 string
