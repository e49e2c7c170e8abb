package parts

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// Element is a running client with Element's own encryption, e2e/element.
type Element struct {
	*Process
	requests io.WriteCloser
}

// StartElement starts a client that nobody is logged in with. It answers requests,
// one JSON object a line, with such lines, which are written to answers as they
// come. What it logs is its Stderr.
func StartElement(dir string, answers io.Writer) (*Element, error) {
	root, err := Root()
	if err != nil {
		return nil, err
	}
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, fmt.Errorf("start element: %w; make setup installs it", err)
	}
	program := filepath.Join(root, "e2e", "element")
	if _, err := os.Stat(filepath.Join(program, "node_modules", ".installed")); err != nil {
		return nil, errors.New("start element: e2e/element lacks its packages; make setup installs them")
	}
	stdin, requests, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("start element: %w", err)
	}
	defer func() { _ = stdin.Close() }()
	p, err := start(command{
		name: "element", path: node, args: []string{filepath.Join(program, "element.mjs")}, dir: dir,
		env:   []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir},
		stdin: stdin, stdout: answers,
	})
	if err != nil {
		_ = requests.Close()
		return nil, err
	}
	return &Element{Process: p, requests: requests}, nil
}

// Ask writes a request; the line ends with a newline.
func (e *Element) Ask(line []byte) error {
	_, err := e.requests.Write(line)
	return err
}

// Close ends the client by ending its requests, and by force if that is not enough.
// It returns once the client is gone; closing twice is harmless.
func (e *Element) Close() error {
	_ = e.requests.Close()
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	code, err := e.Wait(ctx)
	_ = e.Process.Close()
	switch {
	case err != nil:
		return e.failed(err)
	case code != 0:
		return e.failed(fmt.Errorf("ended with %d", code))
	}
	return nil
}
