// Package image builds what the Dockerfile describes, and runs it, without a
// container engine: the steps of the build stage run in an overlay over this
// machine, which has Go as the golang image has it; the program runs in the root
// file system that comes out, mounted read-only, as the user and with the entry point
// that the Dockerfile names, and with the volume as the one place that can be
// written.
//
//	img, err := image.Build(ctx, root, map[string]string{"VERSION": "1.0.0"}, dir)
//	program := img.Program(store) // to be followed by arguments
//
// It knows the instructions that our Dockerfile has, and refuses others. It needs
// root, for mounts, and overlayfs.
package image
