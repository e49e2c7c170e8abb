package connector

import (
	"maps"
	"slices"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/status"
)

// readiness says whether messages can come and go: all reasons why not, those that
// come first in the flow first.
func (v *vitals) readiness() status.Readiness {
	v.mu.Lock()
	defer v.mu.Unlock()
	var reasons []status.Reason
	add := func(what string, o *operation) {
		r := status.Reason{What: what}
		if o != nil {
			r.Since, r.Detail, r.Cure = o.failing, o.text, o.cure
		}
		i := slices.IndexFunc(reasons, func(have status.Reason) bool { return have.What == what })
		if i < 0 {
			reasons = append(reasons, r)
		} else if reasons[i].Since.IsZero() || !r.Since.IsZero() && r.Since.Before(reasons[i].Since) {
			reasons[i] = r
		}
	}
	begin := func(done bool, name, waiting string, failing func(*operation) string) {
		if done {
			return
		}
		if o := v.operations[name]; o != nil && !o.failing.IsZero() {
			add(failing(o), o)
			return
		}
		add(waiting, nil)
	}
	begin(v.open, opStart, "the store is being opened", func(*operation) string { return "another process works on the store" })
	if v.open {
		begin(v.loggedIn, opLogIn, "the bot is being logged in", func(o *operation) string {
			if o.with == atStore {
				return phrase(o)
			}
			return "the bot is not logged in: " + phrase(o)
		})
		begin(v.registered, opRegister, "the connector is being registered with the platform", func(o *operation) string {
			return "the connector is not registered: " + phrase(o)
		})
		if v.loggedIn && v.synced.IsZero() {
			begin(false, opSync, "the first /sync is not answered yet", phrase)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v.operations)) {
		o := v.operations[name]
		// What is read and fetched beside /sync may fail for one room's sake.
		aside := (name == "fill" || name == "fetch" || name == "invite" || name == "keys" || name == "request") && o.with != atStore
		if o.failing.IsZero() || aside || name == opStart || name == opLogIn || name == opRegister || name == opSync && v.synced.IsZero() {
			continue
		}
		add(phrase(o), o)
	}
	return status.Readiness{Ready: len(reasons) == 0, Reasons: reasons}
}

// phrase says in words what a failure means (closed set).
func phrase(o *operation) string {
	switch o.with {
	case atHomeserver:
		switch o.class {
		case "unauthorized", "permanent":
			return "the homeserver refuses the bot"
		case "rate_limited":
			return "the homeserver asks for patience"
		}
		return "the homeserver is unreachable"
	case atBroker:
		if o.class == "unauthorized" {
			return "the broker refuses the connector"
		}
		return "the broker is unreachable"
	case atStore:
		if o.full {
			return "the disk of the store is full"
		}
		return "the store cannot be used"
	case atPlatform:
	}
	switch o.class {
	case "unauthorized", "permanent":
		return "the platform refuses the connector"
	case "rate_limited":
		return "the platform asks for patience"
	}
	return "the platform is unreachable"
}

// failures lists what did not always work, the latest first.
func (v *vitals) failures() []status.Failure {
	v.mu.Lock()
	defer v.mu.Unlock()
	list := []status.Failure{}
	for name, o := range v.operations {
		if o.count > 0 {
			list = append(list, status.Failure{
				Operation: name, Class: o.class, Error: o.text, Cure: o.cure, Count: o.count, At: o.failed, Since: o.failing,
			})
		}
	}
	slices.SortFunc(list, func(a, b status.Failure) int { return b.At.Compare(a.At) })
	return list
}

// lastSync is when /sync was last answered; zero before the first.
func (v *vitals) lastSync() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.synced
}
