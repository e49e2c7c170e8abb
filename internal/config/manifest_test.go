package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

// manifest is connector_manifest.json, its keys in the order of that repository.
type manifest struct {
	Title              string   `json:"title"`
	Slug               string   `json:"slug"`
	Description        string   `json:"description"`
	ShortDescription   string   `json:"short_description"`
	Logo               *string  `json:"logo"`
	UseCases           []string `json:"use_cases"`
	SolutionCategories []string `json:"solution_categories"`
	LicenseType        string   `json:"license_type"`
	Contact            *string  `json:"contact"`
	Verified           bool     `json:"verified"`
	LastVerifiedDate   *string  `json:"last_verified_date"`
	PlaybookSupported  bool     `json:"playbook_supported"`
	MaxConfidenceLevel int      `json:"max_confidence_level"`
	SupportVersion     string   `json:"support_version"`
	SubscriptionLink   *string  `json:"subscription_link"`
	SourceCode         string   `json:"source_code"`
	ManagerSupported   bool     `json:"manager_supported"`
	ContainerVersion   string   `json:"container_version"`
	ContainerImage     string   `json:"container_image"`
	ContainerType      string   `json:"container_type"`
}

// ours is the manifest of this connector. The platform's manager promises no volume, and
// a bot that loses its store loses its place in encrypted rooms: so it is not to be
// started by the manager.
func ours(t *testing.T) manifest {
	t.Helper()
	m := manifest{
		Title: "Matrix", Slug: "matrix",
		Description: "Reads the Matrix rooms that a bot account is in, end-to-end encrypted or not, and imports what is said there: " +
			"rooms become Channels, senders Individuals, messages Media-Contents with their replies and attachments. " +
			"Nothing that the homeserver shows is lost, and a repeat is the same object.",
		ShortDescription: "Imports conversations of Matrix rooms, end-to-end encrypted or not, as Channels, Individuals and Media-Contents.",
		UseCases:         []string{"Other"}, SolutionCategories: []string{"Other"},
		LicenseType: "Free", MaxConfidenceLevel: 100, SupportVersion: ">=6.4.3",
		SourceCode:       "https://github.com/matrix-connector/matrix-connector",
		ContainerVersion: "rolling", ContainerImage: "opencti/connector-matrix",
	}
	for _, r := range rows(t) {
		if r.variable == "CONNECTOR_TYPE" {
			m.ContainerType = r.def
		}
	}
	return m
}

func TestTheManifestOfTheConnectorsRepository(t *testing.T) {
	m := ours(t)
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m); err != nil {
		t.Fatal(err)
	}
	same(t, manifestName, b.String())
	if n := utf8.RuneCountInString(m.ShortDescription); n > 250 || m.ContainerType != "EXTERNAL_IMPORT" {
		t.Errorf("the short description has %d characters, at most 250 are allowed; type %q", n, m.ContainerType)
	}
}

// doc is CONNECTOR_CONFIG_DOC.md: the schema as a table.
func doc(t *testing.T) string {
	t.Helper()
	var b strings.Builder
	b.WriteString("# Connector Configurations\n\nAll settings that the platform's page can show. Made from internal/config by go test ./internal/config -update.\n\n" +
		"| Property | Type | Required | Possible values | Deprecated | Default | Description |\n|---|---|---|---|---|---|---|\n")
	for _, r := range schemaRows(t) {
		p := propertyOf(t, r)
		required, possible, def := "", p.Type, ""
		if r.need != "" && r.need != "login" {
			required = "✅"
		}
		switch {
		case p.Const != nil:
			possible = code(fmt.Sprint(p.Const))
		case len(p.Enum) > 0:
			possible = "`" + strings.Join(p.Enum, "` `") + "`"
		case p.Format != "":
			possible = "Format: " + code(p.Format)
		case p.Minimum != nil:
			possible = fmt.Sprintf("`%d` to `%d`", *p.Minimum, *p.Maximum)
		}
		if p.Default != nil {
			text, err := json.Marshal(p.Default)
			if err != nil {
				t.Fatal(err)
			}
			def = code(string(text))
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | | %s | %s |\n", r.variable, code(p.Type), required, possible, def, strings.ReplaceAll(r.meaning, "|", `\|`))
	}
	return b.String()
}

func TestTheTableOfTheConnectorsRepository(t *testing.T) { same(t, configDoc, doc(t)) }
