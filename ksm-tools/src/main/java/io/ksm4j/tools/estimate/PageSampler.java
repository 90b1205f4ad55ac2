// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.tools.estimate;

import io.ksm4j.tools.sketch.FleetKey;
import io.ksm4j.tools.sketch.Sample;
import io.ksm4j.tools.sketch.SampleBuilder;
import org.jspecify.annotations.Nullable;

/** Samples the pages of one process for its sketch. For use by one thread. */
final class PageSampler implements ProcessPages.Visitor {

    private final FleetKey key;
    private final @Nullable InitialHashes before;
    private final long hashOfZeros;
    private final SampleBuilder sample = new SampleBuilder();

    private long pages;
    private long zeros;
    private long shared;

    /** @param before the pages of a first reading, to leave out those that have changed since; null if there is none */
    PageSampler(FleetKey key, @Nullable InitialHashes before, long hashOfZeros) {
        this.key = key;
        this.before = before;
        this.hashOfZeros = hashOfZeros;
    }

    @Override
    public void page(long address, long hash) {
        if (before != null && !before.isSame(address, hash)) {
            return;
        }
        pages++;
        if (hash == hashOfZeros) {
            zeros++;
        } else {
            sample.add(key.hash(hash));
        }
    }

    @Override
    public void sharedPage() {
        shared++;
    }

    long pages() {
        return pages;
    }

    long zeros() {
        return zeros;
    }

    long shared() {
        return shared;
    }

    Sample sample() {
        return sample.build();
    }
}
