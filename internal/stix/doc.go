// Package stix holds the few STIX 2.1 types that the connector makes, with the
// deterministic ids that OpenCTI's own libraries give the same objects, and what
// the two ends of a delivery say to each other about them.
//
// It imports no network, database, clock or logger: the same input gives the
// same bytes.
package stix
