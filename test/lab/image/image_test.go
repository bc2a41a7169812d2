// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"errors"
	"io"
	"path/filepath"
	"testing"

	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

func TestSameSourceGivesTheSameImage(t *testing.T) {
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	var digests []string
	for range 2 {
		built, err := Builder{Checkout: root, Folder: t.TempDir()}.save(t.Context(), pause)
		if err != nil {
			t.Fatal(err)
		}
		digests = append(digests, built.Digest)
		checkImage(t, built)
	}
	if digests[0] != digests[1] {
		t.Errorf("digests differ: %s", digests)
	}
}

func checkImage(t *testing.T, built Built) {
	t.Helper()
	img, err := tarball.ImageFromPath(built.Tar, nil)
	if err != nil {
		t.Fatal(err)
	}
	file, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if file.Config.User != nobody || len(file.Config.Entrypoint) != 1 || file.Config.Entrypoint[0] != "/pause" {
		t.Errorf("user %q, entry point %q", file.Config.User, file.Config.Entrypoint)
	}
}

func TestLayerHoldsOneProgramWithoutTime(t *testing.T) {
	layer, err := layerOf("program", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	packed, err := layer.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	reader := tar.NewReader(packed)
	header, err := reader.Next()
	if err != nil {
		t.Fatal(err)
	}
	if header.Name != "program" || header.Mode != 0o755 || header.ModTime.Unix() != 0 || header.Uid != 0 {
		t.Errorf("header %+v", header)
	}
	if _, err := reader.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("after the program: %v", err)
	}
}
