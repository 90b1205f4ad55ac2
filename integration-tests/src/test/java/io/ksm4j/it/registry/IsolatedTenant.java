// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import io.ksm4j.Ksm;
import io.ksm4j.KsmUnsupportedException;
import io.ksm4j.Marking;
import io.ksm4j.MergeRegion;
import io.ksm4j.MergeRegistry;
import io.ksm4j.RegionOptions;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;

/** Uses one copy of ksm4j: each class loader that has a copy loads this class, too. */
public final class IsolatedTenant implements Tenant {

    private final Map<String, MergeRegion> regions = new ConcurrentHashMap<>();

    @Override
    public long allocate(long bytes, String name) {
        MergeRegion region = Ksm.system().allocate(bytes, RegionOptions.DEFAULT.withName(name));
        regions.put(name, region);
        return region.address();
    }

    @Override
    public void adopt(long address, long bytes, String name) {
        regions.put(name, Ksm.system().adopt(address, bytes, RegionOptions.DEFAULT.withName(name)));
    }

    @Override
    public void adoptSecret(long address, long bytes, String name) {
        RegionOptions options = RegionOptions.DEFAULT.withName(name).withMarking(Marking.NEVER);
        regions.put(name, Ksm.system().adopt(address, bytes, options));
    }

    @Override
    public boolean optIn() {
        try {
            Ksm.system().process().markMergeable();
            return true;
        } catch (KsmUnsupportedException e) {
            return false;
        }
    }

    @Override
    public void optOut() {
        Ksm.system().process().markUnmergeable();
    }

    @Override
    public void markMergeable(String name) {
        regions.get(name).markMergeable();
    }

    @Override
    public void markUnmergeable(String name) {
        regions.get(name).markUnmergeable();
    }

    @Override
    public ByteBuffer buffer(String name) {
        return regions.get(name).buffer();
    }

    @Override
    public void close(String name) {
        regions.remove(name).close();
    }

    @Override
    public void forget(String name) {
        regions.remove(name);
    }

    @Override
    public List<String> owners() {
        return MergeRegistry.system().marks().stream()
                .map(MergeRegistry.Mark::owner)
                .toList();
    }

    @Override
    public long openRegions() {
        return MergeRegistry.system().openRegions();
    }

    @Override
    public long mergeableBytes() {
        return MergeRegistry.system().mergeableBytes();
    }

    @Override
    public long leaks() {
        return MergeRegistry.system().leaks();
    }

    @Override
    public String backend() {
        return Ksm.system().backend();
    }
}
