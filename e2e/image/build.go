package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
)

// Image is what a Dockerfile describes.
type Image struct {
	// Root is the folder of its file system.
	Root string
	// User is who runs it, as UID:GID.
	User       string
	Workdir    string
	Volume     string
	Entrypoint []string
	// Health is the command that tells whether it works.
	Health []string
	Labels string
}

// builder goes through a Dockerfile.
type builder struct {
	repository, dir string
	args            map[string]string // build arguments that were given
	env             map[string]string // those that the stage has declared
	workdir         string
	image           *Image // nil in the build stage
}

// Build carries out the Dockerfile of a repository in a folder.
func Build(ctx context.Context, repository string, args map[string]string, dir string) (*Image, error) {
	text, err := os.ReadFile(filepath.Join(repository, "Dockerfile"))
	if err != nil {
		return nil, err
	}
	b := &builder{repository: repository, dir: dir, args: args}
	for _, folder := range []string{"upper", "work", "merged", "image"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o755); err != nil {
			return nil, err
		}
	}
	for _, i := range Parse(string(text)) {
		if err := b.step(ctx, i); err != nil {
			return nil, fmt.Errorf("%s %s: %w", i.Name, i.Rest, err)
		}
	}
	return b.image, nil
}

func (b *builder) step(ctx context.Context, i Instruction) error {
	words, flags := i.words()
	if b.image == nil || i.Name == "ARG" || i.Name == "COPY" {
		switch i.Name {
		case "FROM":
			b.env, b.workdir = map[string]string{}, "/"
			if words[0] == "scratch" {
				b.image = &Image{Root: filepath.Join(b.dir, "image")}
			} else if !strings.HasPrefix(words[0], "golang:") {
				return fmt.Errorf("the base %s is not known", words[0])
			}
			return nil
		case "WORKDIR":
			b.workdir = i.Rest
			return os.MkdirAll(b.upper(i.Rest), 0o755)
		case "ARG":
			name, value, _ := strings.Cut(i.Rest, "=")
			if given, ok := b.args[name]; ok {
				value = given
			}
			b.env[name] = value
			return nil
		case "RUN":
			return b.run(ctx, i.Rest)
		case "COPY":
			return b.copy(ctx, words, flags)
		}
		return errors.New("not known in the build stage")
	}
	return b.describe(i)
}

// describe notes an instruction of the last stage.
func (b *builder) describe(i Instruction) (err error) {
	switch i.Name {
	case "LABEL":
		b.image.Labels = os.Expand(i.Rest, func(name string) string { return b.env[name] })
	case "USER":
		b.image.User = i.Rest
	case "WORKDIR":
		b.image.Workdir = i.Rest
	case "VOLUME":
		b.image.Volume = i.Rest
	case "ENTRYPOINT":
		b.image.Entrypoint, err = i.list()
	case "HEALTHCHECK":
		b.image.Health, err = i.list()
	case "EXPOSE":
	default:
		err = errors.New("not known in the last stage")
	}
	return err
}

// upper is where a path of the build stage is written.
func (b *builder) upper(p string) string { return filepath.Join(b.dir, "upper", p) }

// overlay mounts this machine's file system below what the stage has written.
const overlay = `set -e
mount -t overlay overlay -o "lowerdir=/,upperdir=$1/upper,workdir=$1/work" "$1/merged"
mount --bind /proc "$1/merged/proc"
mount --bind /dev "$1/merged/dev"
exec chroot "$1/merged" /bin/sh -ec "cd '$2'; $3"`

// run carries out a RUN of the build stage.
func (b *builder) run(ctx context.Context, command string) error {
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--", "/bin/sh", "-c", overlay, "sh", b.dir, b.workdir, command)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOTOOLCHAIN=local"}
	for _, name := range slices.Sorted(maps.Keys(b.env)) {
		// An argument without a value hides none of the environment, but ours are all set.
		cmd.Env = append(cmd.Env, name+"="+b.env[name])
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// copy carries out a COPY: of the context into the build stage, or of the build
// stage's folder into the image.
func (b *builder) copy(ctx context.Context, words []string, flags map[string]string) error {
	if flags["from"] == "" {
		return b.send(ctx, words)
	}
	from, to := b.upper(words[0]), filepath.Join(b.image.Root, words[1])
	owner := flags["chown"]
	if owner == "" {
		owner = "0:0"
	}
	// A copy keeps modes; owners are those that COPY is told. Folders that are there
	// already stay whose they are.
	script := `set -e; cp -R --preserve=mode "$1" "$2.new"; chown -R "$3" "$2.new"; cp -a -n "$2.new/." "$2/"; rm -rf "$2.new"`
	out, err := exec.CommandContext(ctx, "/bin/sh", "-c", script, "sh", filepath.Clean(from), filepath.Clean(to), owner).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// send copies files of the repository that are tracked, or would be, and that
// .dockerignore does not keep back.
func (b *builder) send(ctx context.Context, words []string) error {
	rules, err := os.ReadFile(filepath.Join(b.repository, ".dockerignore"))
	if err != nil {
		return err
	}
	leftOut := ignored(string(rules))
	list := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	list.Dir = b.repository
	out, err := list.Output()
	if err != nil {
		return fmt.Errorf("list files: %w", err)
	}
	from, to := words[:len(words)-1], path.Join(b.workdir, words[len(words)-1])
	sent := 0
	for name := range bytes.SplitSeq(bytes.TrimRight(out, "\x00"), []byte{0}) {
		name := string(name)
		if !slices.Contains(from, ".") && !slices.Contains(from, name) || leftOut(name) {
			continue
		}
		text, err := os.ReadFile(filepath.Join(b.repository, name))
		if os.IsNotExist(err) {
			continue // removed, and not committed yet
		}
		if err != nil {
			return err
		}
		target := b.upper(path.Join(to, name))
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, text, 0o644); err != nil {
			return err
		}
		sent++
	}
	if sent == 0 {
		return errors.New("nothing to copy")
	}
	return nil
}

// Platform is the build argument that says for which architecture to build.
func Platform() map[string]string { return map[string]string{"TARGETARCH": runtime.GOARCH} }
