package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// The files of OpenCTI's connectors repository (external-import/matrix/__metadata__).
const (
	schemaName   = "__metadata__/connector_config_schema.json"
	schemaID     = "https://www.filigran.io/connectors/matrix_config.schema.json"
	manifestName = "__metadata__/connector_manifest.json"
	configDoc    = "__metadata__/CONNECTOR_CONFIG_DOC.md"
)

// property is one setting of the schema, its keys in the order of the alphabet as
// everywhere in that repository.
type property struct {
	Const       any       `json:"const,omitempty"`
	Default     any       `json:"default,omitempty"`
	Description string    `json:"description"`
	Enum        []string  `json:"enum,omitempty"`
	Format      string    `json:"format,omitempty"`
	Items       *property `json:"items,omitempty"`
	Maximum     *int      `json:"maximum,omitempty"`
	MinLength   int       `json:"minLength,omitempty"`
	Minimum     *int      `json:"minimum,omitempty"`
	Pattern     string    `json:"pattern,omitempty"`
	Type        string    `json:"type"`
	WriteOnly   bool      `json:"writeOnly,omitempty"`
}

// MarshalJSON leaves out the description of what has none: the items of a list.
func (p property) MarshalJSON() ([]byte, error) {
	type plain property
	if p.Description == "" {
		return json.Marshal(map[string]string{"type": p.Type})
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(plain(p))
	return b.Bytes(), err
}

// forms are the patterns of texts, as far as a pattern can tell. The same is refused at
// the start, with a sentence.
var forms = map[reflect.Type]string{
	reflect.TypeFor[config.UserID]():     `^@[!-9;-~]+:.+$`,
	reflect.TypeFor[config.Bytes]():      `^[0-9]+ ?([Bb]|[KkMmGg][Ii]?[Bb])?$`,
	reflect.TypeFor[config.Retention]():  `^([Pp]([0-9]|[Tt][0-9]).*|[Nn][Oo][Nn][Ee])$`,
	reflect.TypeFor[config.Start]():      `^([Pp]([0-9]|[Tt][0-9]).*|[0-9]{4}-[0-9]{2}-[0-9]{2}.*|[Nn][Oo][Nn][Ee])$`,
	reflect.TypeFor[config.MetricName](): `^[a-zA-Z_][a-zA-Z0-9_]*$`,
}

// propertyOf is the property of a setting.
func propertyOf(t *testing.T, r row) property {
	t.Helper()
	p := property{Description: r.meaning, Type: "string"}
	kind := r.kind
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	if r.def != "" {
		p.Default = r.def
	}
	number := func(text string) *int {
		n, err := strconv.Atoi(text)
		if err != nil {
			t.Fatal(err)
		}
		return &n
	}
	switch {
	case r.secret:
		p.Format, p.WriteOnly = "password", true
	case kind == reflect.TypeFor[config.Confidence]():
		p.Type, p.Minimum, p.Maximum = "integer", number("0"), number("100")
	case kind == reflect.TypeFor[config.URL](), kind == reflect.TypeFor[config.Permalink]():
		p.Format = "uri"
	case kind == reflect.TypeFor[config.ConnectorName]():
		p.MinLength = 2
	case kind == reflect.TypeFor[config.ConnectorType]():
		p.Const = r.def
	case config.Choices(kind) != nil:
		p.Enum = config.Choices(kind)
	case forms[kind] != "":
		p.Pattern = forms[kind]
	case kind.Kind() == reflect.Slice:
		p.Type, p.Items = "array", &property{Type: "string"}
		if r.def != "" {
			p.Default = strings.Split(r.def, ",")
		}
	case kind.Kind() == reflect.Bool:
		p.Type = "boolean"
		if r.def != "" {
			p.Default = r.def == "true"
		}
	case kind.Kind() == reflect.Int:
		p.Type, p.Minimum, p.Maximum = "integer", number(r.min), number(r.max)
		if r.def != "" {
			p.Default = *number(r.def)
		}
	}
	return p
}

// schemaRows are the settings that the platform's page asks for: not the id, which the
// platform gives, nor proxies, which its composer hands on.
func schemaRows(t *testing.T) []row {
	t.Helper()
	return slices.DeleteFunc(rows(t), func(r row) bool {
		return r.variable == "" || r.variable == "CONNECTOR_ID" || r.key == ""
	})
}

// schema is connector_config_schema.json.
func schema(t *testing.T) string {
	t.Helper()
	var b bytes.Buffer
	fmt.Fprintf(&b, `{"$schema":"https://json-schema.org/draft/2020-12/schema","$id":%q,"type":"object","properties":{`, schemaID)
	required := []string{}
	for i, r := range schemaRows(t) {
		if i > 0 {
			b.WriteString(",")
		}
		p, err := propertyOf(t, r).MarshalJSON()
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&b, "%q:%s", r.variable, p)
		if r.need != "" && r.need != "login" {
			required = append(required, r.variable)
		}
	}
	fmt.Fprintf(&b, `},"required":["%s"],"additionalProperties":true}`, strings.Join(required, `","`))
	var out bytes.Buffer
	if err := json.Indent(&out, b.Bytes(), "", "  "); err != nil {
		t.Fatal(err)
	}
	return out.String() + "\n"
}

func TestTheSchemaOfTheConnectorsRepositoryShowsAllSettings(t *testing.T) {
	same(t, schemaName, schema(t))
}

// compiled is the schema as it lies in the repository.
func compiled(t *testing.T) *jsonschema.Schema {
	t.Helper()
	doc, err := jsonschema.UnmarshalJSON(strings.NewReader(readRoot(t, schemaName)))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource(schemaID, doc); err != nil {
		t.Fatal(err)
	}
	s, err := c.Compile(schemaID)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// typed are variables as the platform's page holds them: with the types of the schema.
func typed(t *testing.T, environ []string) map[string]any {
	t.Helper()
	kinds := map[string]string{}
	for _, r := range schemaRows(t) {
		kinds[r.variable] = propertyOf(t, r).Type
	}
	values := map[string]any{}
	for _, line := range environ {
		name, text, ok := strings.Cut(line, "=")
		if !ok || text == "" || strings.HasPrefix(line, "#") {
			continue
		}
		values[name] = text
		switch kinds[name] {
		case "boolean":
			if b, err := strconv.ParseBool(text); err == nil {
				values[name] = b
			}
		case "integer":
			values[name] = json.Number(text)
		case "array":
			var list []any
			for item := range strings.SplitSeq(text, ",") {
				list = append(list, item)
			}
			values[name] = list
		}
	}
	return values
}

func TestTheSampleEnvironmentFitsTheSchema(t *testing.T) {
	environ := strings.Split(filled(t, readRoot(t, ".env.sample"), answers...), "\n")
	if err := compiled(t).Validate(typed(t, environ)); err != nil {
		t.Error(err)
	}
	if err := compiled(t).Validate(map[string]any{}); err == nil {
		t.Error("an empty configuration fits")
	}
}

// What the schema lets through and what the program takes are the same, one value at a
// time.
func TestTheSchemaAndTheProgramAgree(t *testing.T) {
	s := compiled(t)
	for line, good := range map[string]bool{
		"OPENCTI_URL=https://opencti.example.org/base": true, "OPENCTI_URL=opencti": false,
		"CONNECTOR_NAME=Matrix": true, "CONNECTOR_NAME=M": false,
		"CONNECTOR_TYPE=EXTERNAL_IMPORT": true, "CONNECTOR_TYPE=STREAM": false,
		"CONNECTOR_SCOPE=matrix,chat": true, "CONNECTOR_LOG_LEVEL=warning": true, "CONNECTOR_LOG_LEVEL=loud": false,
		"CONNECTOR_CONFIDENCE_LEVEL=75": true, "CONNECTOR_CONFIDENCE_LEVEL=101": false, "CONNECTOR_CONFIDENCE_LEVEL=-1": false,
		"CONNECTOR_QUEUE_PROTOCOL=api": true, "CONNECTOR_QUEUE_PROTOCOL=http": false,
		"CONNECTOR_METRICS_PORT=9095": true, "CONNECTOR_METRICS_PORT=0": false, "CONNECTOR_METRICS_PORT=65536": false,
		"CONNECTOR_METRICS_NAMESPACE=octi": true, "CONNECTOR_METRICS_NAMESPACE=1-2": false,
		"CONNECTOR_EXPOSE_METRICS=true": true, "CONNECTOR_EXPOSE_METRICS=maybe": false,
		"MATRIX_USER_ID=@octi:example.org": true, "MATRIX_USER_ID=octi": false,
		"MATRIX_TLP=AMBER+STRICT": true, "MATRIX_TLP=PURPLE": false,
		"MATRIX_IMPORT_START_DATE=P30D": true, "MATRIX_IMPORT_START_DATE=2026-01-31": true, "MATRIX_IMPORT_START_DATE=none": true,
		"MATRIX_IMPORT_START_DATE=yesterday": false, "MATRIX_CONTENT_RETENTION=PT12H": true, "MATRIX_CONTENT_RETENTION=7": false,
		"MATRIX_ATTACHMENT_MAX_SIZE=50 MiB": true, "MATRIX_ATTACHMENT_MAX_SIZE=0": true, "MATRIX_ATTACHMENT_MAX_SIZE=10M": false,
		"MATRIX_INVITE_FROM=@a:x.org,*:y.org": true, "MATRIX_PERMALINK_BASE=https://matrix.to/#/": true, "MATRIX_PERMALINK_BASE=matrix.to": false,
		"MQ_PORT=5671": true, "MQ_PORT=70000": false, "MQ_USE_SSL=false": true, "MQ_USE_SSL=perhaps": false,
	} {
		environ := complete("MQ_USE_SSL_REJECT_UNAUTHORIZED=true")
		name, _, _ := strings.Cut(line, "=")
		environ = append(slices.DeleteFunc(environ, func(l string) bool { return strings.HasPrefix(l, name+"=") }), line)
		_, problems := config.Load(config.Input{Environ: environ})
		invalid := s.Validate(typed(t, environ))
		if (problems == nil) != good || (invalid == nil) != good {
			t.Errorf("%s: want %t; the program says %v, the schema %v", line, good, problems, invalid)
		}
	}
}

func TestDefaultsFitTheSchema(t *testing.T) {
	environ := complete()
	for _, r := range schemaRows(t) {
		if r.def != "" {
			environ = append(environ, r.variable+"="+r.def)
		}
	}
	if err := compiled(t).Validate(typed(t, environ)); err != nil {
		t.Error(err)
	}
}

func TestSecretsAreHiddenOnThePlatformsPage(t *testing.T) {
	var s struct {
		Properties map[string]property `json:"properties"`
	}
	if err := json.Unmarshal([]byte(readRoot(t, schemaName)), &s); err != nil {
		t.Fatal(err)
	}
	for name, p := range s.Properties {
		if secret := slices.Contains(config.SecretVariables(), name); secret != p.WriteOnly || secret != (p.Format == "password") {
			t.Errorf("%s is a secret: %t; the schema says writeOnly %t, format %q", name, secret, p.WriteOnly, p.Format)
		}
	}
	for _, absent := range []string{"CONNECTOR_ID", "HTTPS_PROXY"} {
		if _, there := s.Properties[absent]; there {
			t.Errorf("%s is in the schema", absent)
		}
	}
	if want := len(schemaRows(t)); len(s.Properties) != want || want < 40 {
		t.Errorf("%d settings, want %d: %v", len(s.Properties), want, slices.Sorted(maps.Keys(s.Properties)))
	}
}
