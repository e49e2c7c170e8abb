package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"strings"

	"github.com/google/uuid"
)

// The bill of materials, as CycloneDX 1.5 has it (https://cyclonedx.org/docs/1.5/json/).
type (
	bomDocument struct {
		Format       string       `json:"bomFormat"`
		Spec         string       `json:"specVersion"`
		Serial       string       `json:"serialNumber"`
		Version      int          `json:"version"`
		Metadata     bomMetadata  `json:"metadata"`
		Components   []component  `json:"components"`
		Dependencies []dependency `json:"dependencies"`
	}
	bomMetadata struct {
		Timestamp string    `json:"timestamp"`
		Component component `json:"component"`
	}
	component struct {
		Ref        string     `json:"bom-ref"`
		Type       string     `json:"type"`
		Name       string     `json:"name"`
		Version    string     `json:"version"`
		Scope      string     `json:"scope,omitempty"`
		Hashes     []hash     `json:"hashes,omitempty"`
		Licences   []licensed `json:"licenses"`
		PURL       string     `json:"purl"`
		Properties []property `json:"properties,omitempty"`
	}
	hash     struct{ Alg, Content string }
	licensed struct {
		Expression string `json:"expression"`
	}
	property struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
	dependency struct {
		Ref string   `json:"ref"`
		On  []string `json:"dependsOn"`
	}
)

// MarshalJSON writes the names in lower case.
func (h hash) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]string{"alg": h.Alg, "content": h.Content})
}

// modulePath is the path of our own module.
const modulePath = "github.com/matrix-connector/matrix-connector"

// bom lists the parts of a binary. Its serial number is that of the binary, so that
// the same binary has the same list.
func (r *Release) bom(p platform, binary string, parts []part) ([]byte, error) {
	text, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	ours := component{
		Type: "application", Name: program, Version: r.Source.Version,
		Hashes:   []hash{{"SHA-256", hex.EncodeToString(sum[:])}},
		Licences: []licensed{{"Apache-2.0"}},
		PURL:     purl(modulePath, r.Source.Version) + "?goarch=" + p.arch + "&goos=" + p.os,
		Properties: []property{
			{"vcs:revision", r.Source.Commit},
			{"build:tags", "goolm"},
			{"build:cgo", "0"},
		},
	}
	ours.Ref = ours.PURL
	doc := bomDocument{
		Format: "CycloneDX", Spec: "1.5", Version: 1,
		Serial: "urn:uuid:" + uuid.NewSHA1(uuid.NameSpaceURL, sum[:]).String(),
		Metadata: bomMetadata{
			Timestamp: r.Source.Committed.Format("2006-01-02T15:04:05Z"), Component: ours,
		},
	}
	on := dependency{Ref: ours.Ref}
	for _, m := range parts {
		c := component{
			Type: "library", Name: m.path, Version: m.version, Scope: "required",
			Licences: []licensed{{m.spdx}}, PURL: purl(m.path, m.version),
		}
		c.Ref = c.PURL
		if m.sum != "" {
			c.Properties = []property{{"go:sum", m.sum}}
		}
		doc.Components = append(doc.Components, c)
		on.On = append(on.On, c.Ref)
	}
	doc.Dependencies = []dependency{on}
	out, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write bill of materials: %w", err)
	}
	return append(out, '\n'), nil
}

// purl is a module's package URL (github.com/package-url/purl-spec, type golang).
func purl(path, version string) string {
	segments := strings.Split(path, "/")
	for i, s := range segments {
		segments[i] = url.PathEscape(s)
	}
	return "pkg:golang/" + strings.Join(segments, "/") + "@" + url.QueryEscape(version)
}
