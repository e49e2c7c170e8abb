// Command prepare builds the homeserver that the stories run on, so that the
// first of them does not have to wait for it.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/matrix-connector/matrix-connector/e2e/parts"
)

func main() {
	if _, err := parts.BuildDendrite(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "prepare:", err)
		os.Exit(1)
	}
}
