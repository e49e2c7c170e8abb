package check

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/matrix-connector/matrix-connector/internal/config"
)

// Config says what to check.
type Config struct {
	// Settings are what was loaded; nil where that failed with Problems.
	Settings *config.Config
	Problems error
	// Register lets the connector be registered where the platform does not know it,
	// as its first start does.
	Register bool
	// Told is called with each line as soon as it and those before it are known; it
	// may be nil.
	Told func(Line)
	// Hide makes the replacer of secrets; nil hides nothing.
	Hide func(secrets []string) *strings.Replacer

	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Patience is how long one question may take; 0: ten seconds.
	Patience time.Duration
	// Bound is how long all of it may take; 0: 28 seconds.
	Bound time.Duration
}

func (c *Config) setDefaults() {
	if c.Told == nil {
		c.Told = func(Line) {}
	}
	if c.Hide == nil {
		c.Hide = func([]string) *strings.Replacer { return strings.NewReplacer() }
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Patience <= 0 {
		c.Patience = 10 * time.Second
	}
	if c.Bound <= 0 {
		c.Bound = 28 * time.Second
	}
}

// Run checks everything and gives one line for each of [Names], and more of them
// for settings.
func Run(ctx context.Context, c Config) []Line {
	c.setDefaults()
	ctx, cancel := context.WithTimeout(ctx, c.Bound)
	defer cancel()
	var lines []Line
	hide := func() *strings.Replacer { return nil }
	tell := func(l Line) {
		l = l.clean(hide())
		lines = append(lines, l)
		c.Told(l)
	}
	for _, l := range settingsLines(c) {
		tell(l)
	}
	if c.Settings == nil {
		for _, name := range Names[1:] {
			tell(skipped(name, "because the settings are wrong"))
		}
		return lines
	}
	vault := &vault{list: c.Settings.Secrets()}
	hide = func() *strings.Replacer { return c.Hide(vault.all()) }
	asks := asker{each: c.Patience}
	storage := &storage{settings: c.Settings}
	stored, answered := asks.ask(ctx, step{name: Store, ask: storage.look, hang: "look at the volume of MATRIX_STORE_PATH: what is read there does not come back"})
	if answered {
		defer storage.close()
	} else {
		storage = beyondReach(c.Settings) // the other one is still being looked at
	}
	tell(stored)

	dates := &dates{now: c.Now}
	reading := &reading{settings: c.Settings, storage: storage, dates: dates, now: c.Now}
	delivering := &delivering{settings: c.Settings, storage: storage, dates: dates, vault: vault, register: c.Register}
	// What is read from and what is delivered to have nothing in common but the store.
	first, second := asks.start(ctx, stored, reading.steps()), asks.start(ctx, stored, delivering.steps())
	for l := range first {
		tell(l)
	}
	for l := range second {
		tell(l)
	}
	delivering.close() //nolint:contextcheck // connections are closed when ctx has ended, too
	tell(dates.line())
	return lines
}

// vault holds what must not be shown. It may be used by several goroutines.
type vault struct {
	mu   sync.Mutex
	list []string
}

func (v *vault) add(secret string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.list = append(v.list, secret)
}

func (v *vault) all() []string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.list)
}
