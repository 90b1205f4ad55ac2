// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
/** A data grid on Oracle Coherence whose members store equal values once. */
@NullMarked
package io.ksm4j.samples.coherence;

import org.jspecify.annotations.NullMarked;
