// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.samples.tenants;

import io.ksm4j.HugePages;
import io.ksm4j.Ksm;
import io.ksm4j.RegionOptions;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;

/** An application that keeps reference data in memory. The class loader of each tenant loads this class again. */
public final class Tenant {

    private static final RegionOptions OPTIONS =
            RegionOptions.DEFAULT.withName("reference-data").withHugePages(HugePages.AVOID);

    private final Object data;

    /**
     * Loads the data.
     *
     * @param variant the name of a {@link StorageVariant}
     * @param file see {@link ReferenceData}
     * @param seed see {@link ReferenceData}
     * @param size see {@link ReferenceData}
     * @throws IOException if the file cannot be read
     */
    public Tenant(String variant, String file, long seed, long size) throws IOException {
        ReferenceData source = new ReferenceData(file, seed, size);
        this.data = switch (StorageVariant.valueOf(variant)) {
            case KSM4J -> inRegion(source);
            case PLAIN, OPTED_IN -> fill(ByteBuffer.allocateDirect((int) size), source);
            case OPTED_IN_HEAP -> onHeap(source);
        };
    }

    /**
     * Returns the data that is kept in memory.
     *
     * @return a buffer or a list of records
     */
    public Object data() {
        return data;
    }

    /** The buffer keeps the region open. */
    private static ByteBuffer inRegion(ReferenceData source) throws IOException {
        return fill(Ksm.systemOrFallback().allocate(source.size(), OPTIONS).buffer(), source);
    }

    private static ByteBuffer fill(ByteBuffer buffer, ReferenceData source) throws IOException {
        source.forEachRecord((record, length) -> {
            buffer.put(record, 0, length);
            return record;
        });
        return buffer;
    }

    private static List<byte[]> onHeap(ReferenceData source) throws IOException {
        List<byte[]> records = new ArrayList<>();
        source.forEachRecord((record, length) -> {
            records.add(record);
            return new byte[ReferenceData.RECORD];
        });
        return records;
    }
}
