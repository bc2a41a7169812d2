// SPDX-License-Identifier: Apache-2.0

// Package image makes container images from static Go binaries, without a container engine or a registry.
//
// The same source and toolchain give the same digest: no image holds a time, an owner or a path of the machine that built it. It knows nothing of the lab's
// hosts. A Builder may be used by one goroutine at a time.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Version of the suite's image.
const Version = "v0.1.0"

// Names of the images.
const (
	SuiteName = "metalsuite.io/metalsuite:" + Version
	PauseName = "local/pause:1"
	HelloName = "metalsuite.io/hello:lab"
)

// nobody is the user of every image; what needs more says so in its pod.
const nobody = "65534:65534"

// Spec is one image: a Go program and its name in the image.
type Spec struct {
	// Name is the image's name with its tag.
	Name string
	// Package is the Go package, relative to the root of the checkout.
	Package string
	// Binary is the program's name in the image's root folder; it is the entry point.
	Binary string
	// LDFlags are added to -s -w.
	LDFlags string
}

var (
	suite = Spec{Name: SuiteName, Package: ".", Binary: "metalsuite", LDFlags: "-X metalsuite.io/cmd/version.Version=" + Version}
	pause = Spec{Name: PauseName, Package: "./test/lab/pause", Binary: "pause"}
	hello = Spec{Name: HelloName, Package: "./test/hello", Binary: "hello"}
)

// Built is an image on disk.
type Built struct {
	// Name is the image's name with its tag.
	Name string
	// Tar is a file in the format of `docker save`.
	Tar string
	// Digest of the image's manifest.
	Digest string
}

// Builder builds from one checkout.
type Builder struct {
	// Checkout is the root of the checkout.
	Checkout string
	// Folder gets the files.
	Folder string
	// Log is the file that gets what the compiler says.
	Log string
}

// Lab builds every image that the lab loads, for this machine's processor; withSuite false leaves the suite's own out.
func (b Builder) Lab(ctx context.Context, withSuite bool) ([]Built, error) {
	specs := []Spec{pause, hello}
	if withSuite {
		specs = append(specs, suite)
	}
	var all []Built
	for _, spec := range specs {
		built, err := b.save(ctx, spec)
		if err != nil {
			return nil, err
		}
		all = append(all, built)
	}
	return all, nil
}

// AllPlatforms builds the suite's image for linux/amd64 and linux/arm64 as an OCI layout with one index, and returns its folder.
func (b Builder) AllPlatforms(ctx context.Context) (string, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, arch := range []string{"amd64", "arm64"} {
		img, err := b.image(ctx, suite, arch)
		if err != nil {
			return "", err
		}
		platform := v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: img, Descriptor: platform})
	}
	folder := filepath.Join(b.Folder, "metalsuite-oci")
	if err := os.RemoveAll(folder); err != nil {
		return "", fmt.Errorf("removing the old layout: %w", err)
	}
	if _, err := layout.Write(folder, mutate.AppendManifests(empty.Index, mutate.IndexAddendum{
		Add:        index,
		Descriptor: v1.Descriptor{Annotations: map[string]string{"org.opencontainers.image.ref.name": SuiteName}},
	})); err != nil {
		return "", fmt.Errorf("writing the layout: %w", err)
	}
	return folder, nil
}

func (b Builder) save(ctx context.Context, spec Spec) (Built, error) {
	img, err := b.image(ctx, spec, "")
	if err != nil {
		return Built{}, err
	}
	tag, err := name.NewTag(spec.Name)
	if err != nil {
		return Built{}, fmt.Errorf("reading the name of an image: %w", err)
	}
	digest, err := img.Digest()
	if err != nil {
		return Built{}, fmt.Errorf("hashing %s: %w", spec.Name, err)
	}
	built := Built{Name: spec.Name, Tar: filepath.Join(b.Folder, spec.Binary+".tar"), Digest: digest.String()}
	if err := tarball.WriteToFile(built.Tar, tag, img); err != nil {
		return Built{}, fmt.Errorf("writing %s: %w", built.Tar, err)
	}
	return built, nil
}

// image builds the program and puts it into an image; arch "" is this machine's.
func (b Builder) image(ctx context.Context, spec Spec, arch string) (v1.Image, error) {
	binary, arch, err := b.compile(ctx, spec, arch)
	if err != nil {
		return nil, err
	}
	layer, err := layerOf(spec.Binary, binary)
	if err != nil {
		return nil, fmt.Errorf("packing %s: %w", spec.Binary, err)
	}
	base := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	img, err := mutate.AppendLayers(base, layer)
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", spec.Name, err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", spec.Name, err)
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created = "linux", arch, v1.Time{Time: time.Unix(0, 0).UTC()}
	file.Config = v1.Config{Entrypoint: []string{"/" + spec.Binary}, User: nobody, WorkingDir: "/"}
	return mutate.ConfigFile(img, file)
}

func (b Builder) compile(ctx context.Context, spec Spec, arch string) (binary []byte, goarch string, err error) {
	if arch == "" {
		arch = runtime.GOARCH
	}
	if err := os.MkdirAll(b.Folder, 0o755); err != nil {
		return nil, "", fmt.Errorf("making the images' folder: %w", err)
	}
	out := filepath.Join(b.Folder, spec.Binary+"-"+arch)
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false", "-tags=grpcnotrace", "-ldflags", "-s -w "+spec.LDFlags, "-o", out, spec.Package)
	cmd.Dir = b.Checkout
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH="+arch)
	said, err := cmd.CombinedOutput()
	if err != nil {
		_ = os.WriteFile(b.Log, said, 0o644)
		return nil, "", fmt.Errorf("compiling %s: %w: %s", spec.Package, err, bytes.TrimSpace(said))
	}
	binary, err = os.ReadFile(out)
	return binary, arch, err
}

// layerOf packs one program, owned by root, with no time.
func layerOf(program string, content []byte) (v1.Layer, error) {
	var packed bytes.Buffer
	writer := tar.NewWriter(&packed)
	header := &tar.Header{Typeflag: tar.TypeReg, Name: program, Mode: 0o755, Size: int64(len(content)), Format: tar.FormatUSTAR}
	if err := writer.WriteHeader(header); err != nil {
		return nil, err
	}
	if _, err := writer.Write(content); err != nil {
		return nil, err
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return static.NewLayer(packed.Bytes(), types.OCIUncompressedLayer), nil
}
