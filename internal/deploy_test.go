package internal_test

import (
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"
)

// variables are the settings that exist: the table in the README, which is generated
// from the program, and the files that secrets may stand in.
func variables(t *testing.T) map[string]bool {
	t.Helper()
	known := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Z_]+)` \\|.*$").FindAllStringSubmatch(read(t, "../README.md"), -1) {
		known[row[1]] = true
		if strings.Contains(row[0], "*Secret.*") {
			known[row[1]+"_FILE"] = true
		}
	}
	if len(known) < 40 {
		t.Fatalf("only %d variables are in the README", len(known))
	}
	return known
}

// variable is a name that looks like a setting of ours.
var variable = regexp.MustCompile(`\b(?:MATRIX|OPENCTI|CONNECTOR|MQ|HTTPS?|NO)_[A-Z][A-Z_]*[A-Z]\b`)

// elsewhere are names that look like a setting and are none, with what they are.
var elsewhere = map[string]string{
	"OPENCTI_SCHEMAS": "for those who develop: the platform's full schemas",
}

func TestVariablesInTheManualAndInDeployExist(t *testing.T) {
	known := variables(t)
	list := append(pages(t), "../docker-compose.yml", "../Dockerfile", "../.env.sample", "../deploy/systemd/matrix-connector.service", "../deploy/kubernetes/matrix-connector.yaml")
	seen := 0
	for _, page := range list {
		for _, name := range variable.FindAllString(read(t, page), -1) {
			seen++
			if !known[name] && elsewhere[name] == "" {
				t.Errorf("%s names %s, which is no setting", page, name)
			}
		}
	}
	if seen < 200 {
		t.Errorf("only %d names were seen", seen)
	}
}

// volumeOf is the volume that the Dockerfile declares.
func volumeOf(t *testing.T) string {
	t.Helper()
	m := regexp.MustCompile(`(?m)^VOLUME (\S+)$`).FindStringSubmatch(read(t, "../Dockerfile"))
	if m == nil {
		t.Fatal("the Dockerfile has no volume")
	}
	return m[1]
}

func TestComposeRunsTheImageAsItIsMeant(t *testing.T) {
	var file struct {
		Services map[string]struct {
			Volumes  []string
			ReadOnly bool     `yaml:"read_only"`
			CapDrop  []string `yaml:"cap_drop"`
			Security []string `yaml:"security_opt"`
			Grace    string   `yaml:"stop_grace_period"`
			Ports    []string
		}
		Volumes map[string]any
	}
	if err := yaml.Unmarshal([]byte(read(t, "../docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	s := file.Services["connector-matrix"]
	if !s.ReadOnly || !slices.Equal(s.CapDrop, []string{"ALL"}) || !slices.Contains(s.Security, "no-new-privileges:true") {
		t.Errorf("more rights than needed: %+v", s)
	}
	if s.Grace != "15s" || len(s.Ports) > 0 {
		t.Errorf("grace period %q, ports %q", s.Grace, s.Ports)
	}
	name, at, _ := strings.Cut(strings.Join(s.Volumes, ","), ":")
	if _, ok := file.Volumes[name]; !ok || at != volumeOf(t) {
		t.Errorf("volumes %q are not that of the image", s.Volumes)
	}
}

// documents are those of a YAML file, by kind.
func documents(t *testing.T, text string) map[string]map[string]any {
	t.Helper()
	list := map[string]map[string]any{}
	for d := yaml.NewDecoder(strings.NewReader(text)); ; {
		var one map[string]any
		switch err := d.Decode(&one); {
		case errors.Is(err, io.EOF):
			return list
		case err != nil:
			t.Fatal(err)
		}
		kind, _ := one["kind"].(string)
		list[kind] = one
	}
}

// at follows a path into a document: names, and the first of each list.
func at(t *testing.T, of any, path ...string) any {
	t.Helper()
	for _, name := range path {
		if list, ok := of.([]any); ok && len(list) == 1 {
			of = list[0]
		}
		m, ok := of.(map[string]any)
		if !ok || m[name] == nil {
			t.Fatalf("there is no %s", strings.Join(path, "."))
		}
		of = m[name]
	}
	return of
}

func TestTheKubernetesManifestKeepsOneConnectorAndItsStoreSafe(t *testing.T) {
	text := read(t, "../deploy/kubernetes/matrix-connector.yaml")
	all := documents(t, text)
	spec := at(t, all["Deployment"], "spec")
	pod := at(t, spec, "template", "spec")
	container := at(t, pod, "containers")
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"one replica", at(t, spec, "replicas"), 1},
		{"the old one ends first", at(t, spec, "strategy", "type"), "Recreate"},
		{"one node at a time", at(t, all["PersistentVolumeClaim"], "spec", "accessModes"), []any{"ReadWriteOnce"}},
		{"the volume is the claim", at(t, pod, "volumes").([]any)[0].(map[string]any)["persistentVolumeClaim"], map[string]any{"claimName": "matrix-connector"}},
		{"no root", at(t, pod, "securityContext", "runAsNonRoot"), true},
		{"the image's user", at(t, pod, "securityContext", "runAsUser"), 65532},
		{"the volume is handed over", at(t, pod, "securityContext", "fsGroup"), 65532},
		{"a read-only root", at(t, container, "securityContext", "readOnlyRootFilesystem"), true},
		{"no way to more rights", at(t, container, "securityContext", "allowPrivilegeEscalation"), false},
		{"no capability", at(t, container, "securityContext", "capabilities", "drop"), []any{"ALL"}},
		{"no token of the cluster", at(t, pod, "automountServiceAccountToken"), false},
		{"time to come home", at(t, pod, "terminationGracePeriodSeconds"), 15},
		{"alive", at(t, container, "livenessProbe", "httpGet", "path"), "/healthz"},
		{"ready", at(t, container, "readinessProbe", "httpGet", "path"), "/readyz"},
		{"where both are served", at(t, all["ConfigMap"], "data", "CONNECTOR_EXPOSE_METRICS"), "true"},
		{"at the default port", at(t, container, "ports", "containerPort"), 9095},
		{"the store's place", at(t, container, "volumeMounts").([]any)[0].(map[string]any)["mountPath"], volumeOf(t)},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
	mount, _ := at(t, container, "volumeMounts").([]any)[1].(map[string]any)["mountPath"].(string)
	data, _ := at(t, all["ConfigMap"], "data").(map[string]any)
	for name, value := range data {
		file, ok := strings.CutSuffix(name, "_FILE")
		if !ok {
			continue
		}
		key := strings.ToLower(file)
		if value != mount+"/"+key || !strings.Contains(text, "--from-literal="+key+"=") {
			t.Errorf("%s is %v, and the secret has it as %s below %s", name, value, key, mount)
		}
	}
	if !strings.Contains(read(t, "../README.md"), "| `CONNECTOR_METRICS_PORT` | `connector.metrics_port` | `9095` |") {
		t.Error("the default port is another one")
	}
}

func TestTheSystemdUnitHandsEachSecretOverAsAFile(t *testing.T) {
	unit := read(t, "../deploy/systemd/matrix-connector.service")
	manual := read(t, "../docs/operations.md")
	loaded := regexp.MustCompile(`(?m)^LoadCredential=(\w+):(/etc/matrix-connector/\w+)$`).FindAllStringSubmatch(unit, -1)
	if len(loaded) < 3 {
		t.Fatalf("only %d secrets are handed over", len(loaded))
	}
	for _, c := range loaded {
		if line := "Environment=" + strings.ToUpper(c[1]) + "_FILE=%d/" + c[1] + "\n"; !strings.Contains(unit, line) {
			t.Errorf("the unit lacks %s", line)
		}
		if !strings.Contains(manual, c[2]) {
			t.Errorf("docs/operations.md does not make %s", c[2])
		}
	}
	for _, line := range []string{
		"ExecStart=/usr/local/bin/matrix-connector run", "Environment=MATRIX_STORE_PATH=%S/matrix-connector",
		"StateDirectory=matrix-connector", "TimeoutStopSec=15s", "ProtectSystem=strict", "NoNewPrivileges=yes", "CapabilityBoundingSet=",
	} {
		if !strings.Contains(unit, "\n"+line+"\n") {
			t.Errorf("the unit lacks %s", line)
		}
	}
}
