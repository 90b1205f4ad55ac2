// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.pool;

import io.ksm4j.KsmException;

/**
 * Thrown when a block does not fit into the remaining capacity of a {@link MergePool}. Closing other blocks makes room.
 *
 * @since 0.1.0
 */
public final class PoolExhaustedException extends KsmException {

    private static final long serialVersionUID = 1;

    PoolExhaustedException(String message) {
        super(message);
    }

    /** {@return true: other blocks may be closed in the meantime} */
    @Override
    public boolean mayRetry() {
        return true;
    }
}
