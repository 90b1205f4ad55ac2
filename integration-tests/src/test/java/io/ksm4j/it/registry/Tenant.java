// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.it.registry;

import java.nio.ByteBuffer;
import java.util.List;

/** The calls of {@link ClassLoaders} to one copy of ksm4j, with types that all class loaders share. */
interface Tenant {

    /** Returns the region's address. */
    long allocate(long bytes, String name);

    void adopt(long address, long bytes, String name);

    /** Adopts memory that must never merge. */
    void adoptSecret(long address, long bytes, String name);

    /** Opts the process in; returns false if the kernel cannot. */
    boolean optIn();

    void optOut();

    void markMergeable(String name);

    void markUnmergeable(String name);

    /** Returns a view of the region. */
    ByteBuffer buffer(String name);

    void close(String name);

    /** Drops the only reference to the region. */
    void forget(String name);

    /** Returns the owners of the marks in the registry, in order of address. */
    List<String> owners();

    long openRegions();

    long mergeableBytes();

    long leaks();

    String backend();
}
