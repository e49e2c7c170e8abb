package check

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/matrix-connector/matrix-connector/internal/config"
	"github.com/matrix-connector/matrix-connector/internal/connector"
	"github.com/matrix-connector/matrix-connector/internal/opencti"
)

// delivering looks at the half that delivers: platform, the token's user, broker.
type delivering struct {
	settings *config.Config
	storage  *storage
	dates    *dates
	vault    *vault
	register bool

	probe *opencti.Probe
	user  opencti.User
	queue opencti.QueueState
	// brokerErr is why the queue is not known; a [*opencti.StepError] at StepQueue
	// where the broker is well but for the queue.
	brokerErr error
}

func (d *delivering) steps() []step {
	return []step{
		{name: Platform, ask: d.platform},
		{name: Rights, needs: []string{Platform}, ask: d.rights},
		{name: Confidence, needs: []string{Platform}, ask: d.confidence},
		{name: Markings, needs: []string{Platform}, ask: d.markings},
		{name: Registered, needs: []string{Platform}, ask: d.connector},
		{name: Broker, needs: []string{Platform, Registered}, ask: d.broker},
		{name: Queue, needs: []string{Platform, Registered}, ask: d.waiting},
		{name: Channels, needs: []string{Store, Platform}, ask: d.channels},
	}
}

func (d *delivering) close() {
	if d.probe != nil {
		_ = d.probe.Close() // nothing was said that could be lost
	}
}

// platform asks for the version.
func (d *delivering) platform(ctx context.Context) Line {
	address := string(d.settings.OpenCTI.URL)
	c, err := connector.PlatformConfig(d.settings)
	if err == nil {
		c.Transport = d.dates.watch("platform", c.Transport)
		d.probe, err = opencti.NewProbe(c)
	}
	if err != nil {
		return failed(Platform, err.Error(), connector.Hint(err))
	}
	version, supported, err := d.probe.Version(ctx)
	e, _ := errors.AsType[*opencti.Error](err)
	l := fine(Platform, place(address)+" runs OpenCTI "+version)
	switch {
	case e != nil && (refusesToken(e) || e.Code == "FORBIDDEN_ACCESS"):
		// It is a platform, and it says its version to those it knows.
		l = failed(Platform, place(address)+" does not accept the token: "+brief(err), tokenHint)
	case err != nil:
		l = d.unreachable(address, err)
	case !supported:
		l = failed(Platform, fmt.Sprintf("%s runs OpenCTI %s, which is not supported", place(address), version),
			"upgrade the platform to "+opencti.OldestVersion+" or newer (OPENCTI_URL leads to "+place(address)+")")
	case exposed(address):
		l = warning(Platform, l.Says+", without TLS: the token can be read on the way", "write https:// in OPENCTI_URL")
	}
	return l.with("url", address).with("version", version)
}

const tokenHint = "set OPENCTI_TOKEN to the API token that the platform shows on the profile page of the connector's user; " +
	"since 7.0 its role needs the right to use API tokens (APIACCESS_USETOKEN), and tokens may expire"

// refusesToken reports whether a platform has answered, and does not know the token.
func refusesToken(e *opencti.Error) bool {
	return e.Code == "AUTH_REQUIRED" || e.Code == "AUTH_FAILURE"
}

// graphQL reports whether a code is one of a platform's own, which are in capitals.
func graphQL(e *opencti.Error) bool { return e.Code != "" && e.Code == strings.ToUpper(e.Code) }

// brief says what a call met, without the name of the operation.
func brief(err error) string {
	e, ok := errors.AsType[*opencti.Error](err)
	if !ok {
		return err.Error()
	}
	_, text, _ := strings.Cut(e.Error(), ": ")
	return text
}

// unreachable says why no platform answers.
func (d *delivering) unreachable(address string, err error) Line {
	e, _ := errors.AsType[*opencti.Error](err)
	base := "set OPENCTI_URL to the platform's base URL: what the browser shows before /dashboard, with a base path if there is one, without /graphql"
	switch {
	case e != nil && e.Status == 0 && connector.Hint(err) != "":
		return failed(Platform, place(address)+": "+brief(err), connector.Hint(err))
	case late(err):
		return silence(Platform, "the platform at", place(address), "OPENCTI_URL", proxyOf(address))
	case e != nil && e.Code == "redirect":
		return failed(Platform, place(address)+fmt.Sprintf(" redirects elsewhere (status %d)", e.Status),
			"set OPENCTI_URL to the address that it redirects to: https:// instead of http://, or with the base path")
	case e != nil && graphQL(e):
		return failed(Platform, place(address)+": "+brief(err), "it is an OpenCTI platform, and not ready to be used: look at its log and its start page (OPENCTI_URL)")
	case e != nil && (e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden):
		return failed(Platform, fmt.Sprintf("%s answered %d: something before the platform wants to know who asks", place(address), e.Status),
			"let OPENCTI_URL lead past it, or set OPENCTI_CUSTOM_HEADERS to what it wants")
	case e != nil && e.Status >= 500:
		return failed(Platform, place(address)+": "+brief(err), "the platform, or a proxy before it, is out of order or still starting: try again; "+base)
	case e != nil && e.Status != 0:
		return failed(Platform, fmt.Sprintf("%s answered %d, and not as OpenCTI does", place(address), e.Status), base)
	}
	return failed(Platform, place(address)+": "+brief(err), "check host and port in OPENCTI_URL")
}

// rights compares what the token's user may do with what is needed.
func (d *delivering) rights(ctx context.Context) Line {
	user, err := d.probe.User(ctx)
	if err != nil {
		return d.trouble(Rights, "who the token belongs to", err)
	}
	d.user = user
	missing, lacking := names(user.Missing), names(user.Lacking)
	l := fine(Rights, user.Name+" has all rights that are needed")
	switch {
	case len(missing) > 0:
		l = failed(Rights, fmt.Sprintf("%s lacks %s", user.Name, told(user.Missing)),
			"OPENCTI_TOKEN has to be that of the connector's own user: put "+user.Name+" into the group Connectors, or add "+
				strings.Join(missing, " and ")+" to its role, or take the token of another user")
	case len(lacking) > 0:
		l = warning(Rights, fmt.Sprintf("%s lacks %s", user.Name, told(user.Lacking)), "put the user of OPENCTI_TOKEN into the group Connectors, or add "+
			strings.Join(lacking, " and ")+" to its role")
	case user.Admin:
		l = warning(Rights, user.Name+" is an administrator: whoever gets hold of the token owns the platform",
			"make a user of its own in the group Connectors, and set OPENCTI_TOKEN to its token")
	}
	return l.with("user", user.Name).with("missing", missing).with("lacking", lacking).with("administrator", user.Admin)
}

func names(rights []opencti.Right) []string {
	list := make([]string, len(rights))
	for i, r := range rights {
		list[i] = r.Name
	}
	return list
}

// told names rights with what does not work without them.
func told(rights []opencti.Right) string {
	list := make([]string, len(rights))
	for i, r := range rights {
		list[i] = r.Name + " (" + r.Lost + ")"
	}
	return strings.Join(list, ", ")
}

// trouble is a question that a platform which answered others did not answer.
func (d *delivering) trouble(name, what string, err error) Line {
	if late(err) {
		return failed(name, what+": the platform does not answer", "try again; if it stays so, look at the platform of OPENCTI_URL")
	}
	if e, ok := errors.AsType[*opencti.Error](err); ok && refusesToken(e) {
		return failed(name, what+": "+brief(err), tokenHint)
	}
	hint := connector.Hint(err)
	if hint == "" {
		hint = "look at the log of the platform of OPENCTI_URL"
	}
	return failed(name, what+": "+brief(err), hint)
}

// confidence compares the setting with what the user may write.
func (d *delivering) confidence(context.Context) Line {
	user, set := d.user, d.settings.Connector.ConfidenceLevel
	if user.Name == "" {
		return skipped(Confidence, "because the token's user is not known")
	}
	l := fine(Confidence, fmt.Sprintf("%s may write up to %d", user.Name, user.MaxConfidence))
	switch {
	case user.MaxConfidence < 0:
		return failed(Confidence, user.Name+" has no maximum confidence level, without which the platform refuses every write",
			"set one on the user of OPENCTI_TOKEN or on its group")
	case set.Set && set.Level > user.MaxConfidence:
		l = warning(Confidence, fmt.Sprintf("CONNECTOR_CONFIDENCE_LEVEL is %d, and %s may write up to %d: the platform lowers it", set.Level, user.Name, user.MaxConfidence),
			fmt.Sprintf("set CONNECTOR_CONFIDENCE_LEVEL to %d or less, or raise the maximum confidence level of the user", user.MaxConfidence))
	case set.Set:
		l.Says += fmt.Sprintf("; CONNECTOR_CONFIDENCE_LEVEL is %d", set.Level)
	}
	if set.Set {
		l = l.with("level", set.Level)
	}
	return l.with("maximum", user.MaxConfidence)
}

// markings looks for those that are written on objects.
func (d *delivering) markings(ctx context.Context) Line {
	found, problems, err := d.probe.Markings(ctx)
	switch {
	case err != nil:
		return d.trouble(Markings, "the markings", err)
	case len(problems) > 0:
		says, hint := make([]string, len(problems)), ""
		for i, p := range problems {
			says[i], hint = p.Error(), connector.Hint(p)
		}
		return failed(Markings, some(says), hint+" (MATRIX_TLP, or tlp of a rule in matrix.rooms)").with("found", found)
	case len(found) == 0:
		return skipped(Markings, "because the token's user may not look them up")
	}
	return fine(Markings, some(found)+": there, and the user may use it").with("found", found)
}
