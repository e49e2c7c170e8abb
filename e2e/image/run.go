package image

import (
	"fmt"
	"os"
	"path/filepath"
)

// contain mounts the image's root read-only, with nothing in it that can be written
// but the volume, and becomes the program: the process keeps its id. What an engine
// adds to every container is added: /proc, and the files that name hosts.
const contain = `set -e
root=$1 volume=$2 store=$3 user=$4 workdir=$5 become=$6; shift 6
mount --bind "$root" "$root"
mount --bind /proc "$root/proc"
mount --bind "$store" "$root$volume"
mount --bind /etc/hosts "$root/etc/hosts"
mount --bind /etc/resolv.conf "$root/etc/resolv.conf"
mount -o remount,bind,ro "$root"
exec python3 -c "$become" "$root" "$workdir" "$user" "$@"`

// become is what chroot(1) cannot do: the working directory is in the new root. The
// user loses all capabilities by no longer being root.
const become = `import os, sys
root, workdir, user = sys.argv[1:4]
uid, gid = map(int, user.split(":"))
os.chroot(root); os.chdir(workdir)
os.setgroups([]); os.setgid(gid); os.setuid(uid)
os.execv(sys.argv[4], sys.argv[4:])`

// Program is the program and the first arguments that run the image with a folder
// for its volume. Arguments of the image's own program follow.
func (i *Image) Program(store string) ([]string, error) { return i.program(store, i.Entrypoint) }

// Healthcheck runs the image's health check beside it.
func (i *Image) Healthcheck(store string) ([]string, error) { return i.program(store, i.Health) }

func (i *Image) program(store string, command []string) ([]string, error) {
	for _, folder := range []string{"proc", "etc"} {
		if err := os.MkdirAll(filepath.Join(i.Root, folder), 0o755); err != nil {
			return nil, fmt.Errorf("run image: %w", err)
		}
	}
	for _, file := range []string{"hosts", "resolv.conf"} {
		f, err := os.OpenFile(filepath.Join(i.Root, "etc", file), os.O_CREATE|os.O_RDONLY, 0o644)
		if err != nil {
			return nil, fmt.Errorf("run image: %w", err)
		}
		_ = f.Close() // nothing was written
	}
	return append([]string{
		"unshare", "--mount", "--propagation=private", "--", "/bin/sh", "-c", contain, "sh",
		i.Root, i.Volume, store, i.User, i.Workdir, become,
	}, command...), nil
}
