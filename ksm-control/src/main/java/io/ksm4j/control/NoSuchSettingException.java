// Copyright the ksm4j authors
// SPDX-License-Identifier: Apache-2.0
package io.ksm4j.control;

/**
 * Thrown when this kernel does not have a setting, or a container hides it.
 *
 * @since 0.1.0
 */
public final class NoSuchSettingException extends KsmSettingException {

    private static final long serialVersionUID = 1;

    NoSuchSettingException(KsmSetting setting, String message) {
        super(setting, message);
    }
}
