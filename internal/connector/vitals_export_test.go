package connector

import (
	"time"

	"github.com/matrix-connector/matrix-connector/internal/status"
	"github.com/matrix-connector/matrix-connector/internal/telemetry"
)

// Vitals lets tests tell what loops do, and ask what follows.
type Vitals struct{ *vitals }

// NewVitals makes vitals of a connector that has just started.
func NewVitals(now func() time.Time, metrics *telemetry.Metrics, secrets ...string) Vitals {
	return Vitals{newVitals(now, metrics, secrets)}
}

// Turn, Worked, Failed and Missed are what loops say.
func (v Vitals) Turn(name string) func()                     { return v.turn(name) }
func (v Vitals) Worked(name string)                          { v.worked(name) }
func (v Vitals) Failed(name string, err error, class string) { v.failed(name, err, class) }
func (v Vitals) Missed(name string, err error, class string) { v.missed(name, err, class) }

// Opened, LoggedIn and Registered are the steps of a start.
func (v Vitals) Opened()     { v.set(func(v *vitals) { v.open = true }) }
func (v Vitals) LoggedIn()   { v.set(func(v *vitals) { v.loggedIn = true }) }
func (v Vitals) Registered() { v.set(func(v *vitals) { v.registered = true }) }

// Readiness, Alive and Failures are what is seen of it.
func (v Vitals) Readiness() status.Readiness { return v.readiness() }
func (v Vitals) Alive() error                { return v.alive() }
func (v Vitals) Failures() []status.Failure  { return v.failures() }
