// SPDX-License-Identifier: Apache-2.0

//go:build !race

package service

const usualSteps = 100_000
