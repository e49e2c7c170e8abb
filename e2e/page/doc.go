// Package page holds the test that looks at the status page with a real browser.
package page
