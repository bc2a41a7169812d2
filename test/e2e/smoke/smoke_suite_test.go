// SPDX-License-Identifier: Apache-2.0

// Package smoke proves that the lab is a cluster worth testing on. It needs a running lab and fails without one.
package smoke

import (
	"testing"

	. "github.com/onsi/ginkgo/v2"
	. "github.com/onsi/gomega"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"metalsuite.io/test/lab"
)

var (
	running *lab.Lab
	api     client.Client
)

func TestSmoke(t *testing.T) {
	RegisterFailHandler(Fail)
	RunSpecs(t, "Lab")
}

var _ = BeforeSuite(func() {
	var err error
	running, err = lab.Open()
	Expect(err).NotTo(HaveOccurred())
	config, err := running.RESTConfig()
	Expect(err).NotTo(HaveOccurred())
	api, err = client.New(config, client.Options{})
	Expect(err).NotTo(HaveOccurred())
})
